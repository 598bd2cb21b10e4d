//! The template and the functions say the same: routes, roles, packages and environment.
//!
//! `nextbest_functions` holds each list once; infra/template.yaml cannot derive from Rust, so this compares them. That
//! the template deploys and answers is shown by infra/test_deploy.py.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};

use nextbest_functions::config::VARIABLES;
use nextbest_functions::keys::Role;
use nextbest_functions::route::{Access, Function, PAGES, ROUTES};

const TEMPLATE: &str = include_str!("../../infra/template.yaml");

/// The lines of every resource of the template, by logical id.
fn resources() -> BTreeMap<&'static str, Vec<&'static str>> {
    let section = TEMPLATE.split("\nResources:\n").nth(1).unwrap().split("\nOutputs:\n").next().unwrap();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut current = None;
    for line in section.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')) {
        match line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            Some(id) => current = Some(id.trim_end_matches(':')),
            None => found.entry(current.unwrap()).or_default().push(line.trim()),
        }
    }
    found
}

fn of_type(kind: &str) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let wanted = format!("Type: {kind}");
    resources().into_iter().filter(move |(_, lines)| lines.contains(&wanted.as_str()))
}

fn value<'a>(lines: &[&'a str], key: &str) -> &'a str {
    let found = lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {key} among {lines:?}"))
}

/// `NextBestActionFunction` for `next-best-action`, without the suffix.
fn camel(function: Function) -> String {
    let capitals = function.as_str().split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    capitals.collect()
}

fn scopes(access: Access) -> BTreeSet<String> {
    match access {
        Access::Public => BTreeSet::new(),
        Access::Roles(roles) => {
            roles.iter().chain([&Role::Admin]).map(|role| role.as_str().to_owned()).collect()
        }
    }
}

#[test]
fn every_route_reaches_its_function_and_asks_for_its_roles() {
    let mut in_template = BTreeMap::new();
    for (_, lines) in of_type("AWS::ApiGatewayV2::Route") {
        let integration =
            value(&lines, "Target").trim_start_matches("!Sub integrations/${").trim_end_matches('}');
        let authorized =
            lines.iter().find_map(|line| line.strip_prefix("AuthorizationScopes: !If [UseJwt, ["));
        let scopes: BTreeSet<String> = authorized
            .map(|rest| rest.split(']').next().unwrap().split(", ").map(str::to_owned).collect())
            .unwrap_or_default();
        assert_eq!(scopes.is_empty(), value(&lines, "AuthorizationType") == "NONE", "{lines:?}");
        in_template.insert(value(&lines, "RouteKey").to_owned(), (integration.to_owned(), scopes));
    }
    let in_code: BTreeMap<_, _> = ROUTES
        .iter()
        .chain(PAGES)
        .map(|route| {
            let function = camel(route.function.unwrap_or(Function::NextBestAction));
            let key = format!("{} {}", route.method, route.path);
            (key, (format!("{function}Integration"), scopes(route.access)))
        })
        .collect();
    assert_eq!(in_template, in_code);
}

#[test]
fn every_function_is_packaged_under_its_name() {
    let in_template: BTreeSet<_> = of_type("AWS::Serverless::Function")
        .map(|(id, lines)| (id.to_owned(), value(&lines, "CodeUri").to_owned()))
        .collect();
    let package = |name: &str| format!("../target/lambda/{name}/bootstrap.zip");
    let mut in_code: BTreeSet<_> = Function::ALL
        .iter()
        .map(|&function| (format!("{}Function", camel(function)), package(function.as_str())))
        .collect();
    in_code.insert(("SnapshotFunction".to_owned(), package("snapshot")));
    in_code.insert(("HopperFunction".to_owned(), package("hopper")));
    assert_eq!(in_template, in_code);
}

#[test]
fn every_role_policy_opens_what_the_role_may_call() {
    for role in Role::ALL {
        let id = role.as_str()[..1].to_uppercase() + &role.as_str()[1..] + "Policy";
        let lines = &resources()[id.as_str()];
        let opened: BTreeSet<_> = lines
            .iter()
            .filter_map(|line| line.split_once("${Api}/$default/"))
            .map(|(_, path)| path.to_owned())
            .collect();
        let expected: BTreeSet<_> = match role {
            Role::Admin => BTreeSet::from(["*".to_owned()]),
            _ => {
                let routes = ROUTES
                    .iter()
                    .chain(PAGES)
                    .filter(|route| route.access != Access::Public && route.access.admits(*role));
                routes.map(|route| format!("{}{}", route.method, route.path.replace("{id}", "*"))).collect()
            }
        };
        assert_eq!(opened, expected, "{role}");
    }
}

#[test]
fn the_environment_names_only_variables_that_are_read() {
    let known: BTreeSet<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
    let set = TEMPLATE.lines().filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name);
    let set: BTreeSet<_> = set.filter(|name| name.starts_with("NEXTBEST_")).collect();
    assert!(!set.is_empty() && set.is_subset(&known), "{set:?} is not within {known:?}");
}
