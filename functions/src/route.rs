//! Every endpoint, once: which function answers it and who may call it.
//!
//! The routers, the role check, the API description, the template and the tests derive from [`ROUTES`], those of the
//! console's pages from [`PAGES`]; an endpoint that is mounted but listed neither there nor in [`LOCAL_ROUTES`] is closed
//! to everyone.

use std::fmt;

use crate::keys::Role;

/// A function that is deployed on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// Takes events in.
    Events,
    /// Chooses the next best action.
    NextBestAction,
    /// Quotes prices.
    Price,
    /// Lists customers at risk.
    AtRisk,
    /// Scores one customer.
    Score,
    /// Shows the retention team's pages.
    Console,
}

impl Function {
    /// Every function with an HTTP interface.
    pub const ALL: &'static [Self] =
        &[Self::Events, Self::NextBestAction, Self::Price, Self::AtRisk, Self::Score, Self::Console];

    /// Its name: of the binary, the package and the function in the template.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::NextBestAction => "next-best-action",
            Self::Price => "price",
            Self::AtRisk => "at-risk",
            Self::Score => "score",
            Self::Console => "console",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: health and the API description.
    Public,
    /// These roles, and [`Role::Admin`] always.
    Roles(&'static [Role]),
}

impl Access {
    /// Whether `role` may call.
    #[must_use]
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Public => true,
            Self::Roles(roles) => role == Role::Admin || roles.contains(&role),
        }
    }
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with `{id}` for a parameter.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// The function that answers; none where every function does.
    pub function: Option<Function>,
    /// What it does, in a sentence.
    pub summary: &'static str,
}

impl Route {
    /// Whether it is for browsers: admitted by session too, and refused in words.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.function == Some(Function::Console)
    }
}

const fn route(
    method: &'static str,
    path: &'static str,
    function: Function,
    roles: &'static [Role],
    summary: &'static str,
) -> Route {
    Route { method, path, access: Access::Roles(roles), function: Some(function), summary }
}

const fn public(path: &'static str, summary: &'static str) -> Route {
    Route { method: "GET", path, access: Access::Public, function: None, summary }
}

/// Every endpoint of the product.
pub const ROUTES: &[Route] = &[
    route(
        "POST",
        "/v1/events",
        Function::Events,
        &[Role::Checkout, Role::Crm],
        "Takes in up to 500 events and answers each.",
    ),
    route(
        "POST",
        "/v1/decisions/next-best-action",
        Function::NextBestAction,
        &[Role::Crm],
        "Chooses what to offer one customer next.",
    ),
    route(
        "GET",
        "/v1/decisions/{id}",
        Function::NextBestAction,
        &[Role::Crm],
        "Shows a logged decision and its outcomes.",
    ),
    route(
        "POST",
        "/v1/decisions/{id}/activate",
        Function::NextBestAction,
        &[Role::Crm],
        "Turns what a decision holds into contacts: the caller goes ahead.",
    ),
    route(
        "GET",
        "/v1/hopper",
        Function::NextBestAction,
        &[Role::Crm],
        "Lists the contacts that were chosen overnight, a page at a time.",
    ),
    route(
        "POST",
        "/v1/hopper/{id}/claims",
        Function::NextBestAction,
        &[Role::Crm],
        "Asks once more about contacts of a list that are about to be sent, and hands them out once.",
    ),
    route("POST", "/v1/prices/quote", Function::Price, &[Role::Checkout], "Quotes prices for a basket."),
    route("GET", "/v1/prices/quotes/{id}", Function::Price, &[Role::Checkout], "Shows a quote."),
    route(
        "POST",
        "/v1/prices/quotes/{id}/redeem",
        Function::Price,
        &[Role::Checkout],
        "Takes a quote for an order, once.",
    ),
    route(
        "GET",
        "/v1/at-risk",
        Function::AtRisk,
        &[Role::Retention],
        "Lists customers at risk, a page at a time.",
    ),
    route(
        "POST",
        "/v1/at-risk/exports",
        Function::AtRisk,
        &[Role::Retention],
        "Settles an export of the first of the list, and records who pulled it.",
    ),
    route(
        "GET",
        "/v1/at-risk/exports/{id}",
        Function::AtRisk,
        &[Role::Retention],
        "Writes an export as CSV, until it expires.",
    ),
    route("POST", "/v1/scores", Function::Score, &[Role::Crm], "Scores the propensities of one customer."),
    public("/healthz", "Whether the process lives."),
    public("/readyz", "Whether project, model and store are there."),
    public("/v1/openapi.json", "This interface, described."),
];

const fn page(path: &'static str, summary: &'static str) -> Route {
    route("GET", path, Function::Console, &[Role::Retention], summary)
}

const fn open(method: &'static str, path: &'static str, summary: &'static str) -> Route {
    Route { method, path, access: Access::Public, function: Some(Function::Console), summary }
}

/// The pages of the console: for browsers, by session, and no part of the described interface.
pub const PAGES: &[Route] = &[
    page("/console", "Leads to the list of customers at risk."),
    page("/console/at-risk", "Customers at risk, and how many to contact."),
    page("/console/at-risk/cutoff", "What contacting the first of the list would reach."),
    page("/console/customers", "Finds a customer."),
    page("/console/customers/{id}", "One customer: stages, features, scores, and what would be decided."),
    page("/console/customers/{id}/price", "What an item would cost this customer."),
    page("/console/actions", "Whom each action reaches."),
    page("/console/metrics", "How customers come, stay and leave."),
    page("/console/models", "The models in use."),
    page("/console/prices", "The items with a price."),
    page("/console/prices/{id}", "What an item costs, and why."),
    page("/console/reports/{id}", "A report beside the artifact, by one of a few names."),
    open("GET", "/console/sign-in", "Asks for a key."),
    open("POST", "/console/sign-in", "Turns a key into a session."),
    open("POST", "/console/sign-out", "Ends the session."),
    open("GET", "/console/assets/console.css", "How the pages look."),
    open("GET", "/console/assets/htmx.min.js", "What moves on the pages."),
];

/// The endpoints that only a server on one machine has, for its administrator.
pub const LOCAL_ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/metrics",
    access: Access::Roles(&[]),
    function: None,
    summary: "Counts of answers and of what they lacked, as Prometheus reads them.",
}];

fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(PAGES).chain(LOCAL_ROUTES)
}

/// The endpoint of `method` and matched `path`; HEAD is GET without a body.
#[must_use]
pub fn find(method: &str, path: &str) -> Option<&'static Route> {
    let method = if method == "HEAD" { "GET" } else { method };
    all().find(|route| route.method == method && route.path == path)
}

/// The methods `path` knows, as an `Allow` header.
#[must_use]
pub fn allowed_methods(path: &str) -> String {
    let methods = all().filter(|route| route.path == path).map(|route| route.method);
    methods.collect::<Vec<_>>().join(", ")
}
