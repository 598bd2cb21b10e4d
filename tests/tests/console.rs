//! The console: who gets in and who does not, at every path, and what the pages say.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_functions::keys::Role;
use nextbest_functions::route::{Access, PAGES, Route};
use nextbest_functions::snapshot;
use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use nextbest_tests::fixture::{key, now, order_json};
use nextbest_tests::world::World;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, StatusCode, redirect};
use serde_json::json;

/// A page as a browser gets it.
struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A browser without a script, which follows no redirect by itself.
struct Browser {
    base: String,
    client: Client,
    cookie: Option<String>,
}

impl Browser {
    fn new(base: &str) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { base: base.to_owned(), client, cookie: None }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Page {
        let mut request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; {cookie}"));
        }
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }

    async fn get(&self, path: &str) -> Page {
        self.ask("GET", path, &[], "").await
    }

    /// Sends the form of the sign-in from a page of ours.
    async fn sign_in(&mut self, secret: &str, next: &str) -> Page {
        let base = self.base.clone();
        let page = self
            .ask("POST", "/console/sign-in", &[("origin", &base)], &format!("key={secret}&next={next}"))
            .await;
        self.cookie = page
            .headers
            .get(SET_COOKIE)
            .map(|set| set.to_str().unwrap().split(';').next().unwrap().to_owned());
        page
    }
}

fn address(route: &Route) -> String {
    let id = if route.path.contains("reports") { "report.html" } else { "ann" };
    route.path.replace("{id}", id)
}

/// Customers with two orders, the last of them `n` days ago, and a list of them.
async fn shop(n_customers: usize) -> World {
    ruled("", n_customers).await
}

/// The same under `policy`.
async fn ruled(policy: &str, n_customers: usize) -> World {
    let world = World::new(policy).await;
    let customers: Vec<String> = (0..n_customers).map(|n| format!("C {n:03}")).collect();
    for (n, customer) in customers.iter().enumerate() {
        let days = i32::try_from(n % 80).unwrap() + 1;
        let events = [order_json(customer, 1, days + 5, 2_000), order_json(customer, 2, days, 3_000)];
        assert_eq!(world.post("/v1/events", &json!({ "events": events })).await.0, StatusCode::OK);
    }
    snapshot::build(&world.app).await.unwrap();
    world
}

async fn desk(world: &World) -> Browser {
    let mut browser = Browser::new(&world.base);
    let page = browser.sign_in(key(&world.keys, Role::Retention), "").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    browser
}

#[tokio::test]
async fn nobody_sees_a_page_without_a_session_or_a_key_of_the_desk() {
    let world = World::new("").await;
    let browser = Browser::new(&world.base);
    for route in PAGES {
        let path = address(route);
        let public = route.access == Access::Public;
        // Whatever stands in for a session: nothing, a torn one, one of another key, one without a signature.
        let unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJuZXh0YmVzdC1jb25zb2xlIiwicm9sZSI6ImFkbWluIn0.";
        for cookie in [None, Some("x"), Some("a.b.c"), Some(unsigned)] {
            let cookie = cookie.map(|value| format!("nextbest_session={value}"));
            let headers: Vec<_> = cookie.iter().map(|cookie| ("cookie", cookie.as_str())).collect();
            let page = browser.ask(route.method, &path, &headers, "").await;
            if public {
                assert_ne!(page.status, StatusCode::UNAUTHORIZED, "{path}");
                continue;
            }
            assert_eq!(page.status, StatusCode::SEE_OTHER, "{path} with {cookie:?}");
            assert!(page.header("location").starts_with("/console/sign-in?next=%2Fconsole"), "{path}");
            assert_eq!(page.text, "", "{path}");
            let part = browser.ask(route.method, &path, &[("hx-request", "true")], "").await;
            assert_eq!(
                (part.status, part.header("hx-redirect")),
                (StatusCode::UNAUTHORIZED, "/console/sign-in")
            );
        }
        for &role in Role::ALL {
            let page = browser.ask(route.method, &path, &[("x-api-key", key(&world.keys, role))], "").await;
            let shut = page.status == StatusCode::FORBIDDEN;
            // A form without an origin is refused whoever sends it.
            let expected = route.method == "POST" || !route.access.admits(role);
            assert_eq!(shut, expected, "{} {path} as {role}: {}", route.method, page.status);
        }
    }
}

#[tokio::test]
async fn only_keys_of_the_desk_begin_a_session_and_it_opens_nothing_else() {
    let world = shop(1).await;
    for &role in Role::ALL {
        let mut browser = Browser::new(&world.base);
        let page = browser.sign_in(key(&world.keys, role), "%2Fconsole%2Fmodels").await;
        if ![Role::Retention, Role::Admin].contains(&role) {
            assert_eq!((page.status, &browser.cookie), (StatusCode::FORBIDDEN, &None), "{role}");
            assert!(page.text.contains("role=\"alert\""));
            continue;
        }
        assert_eq!(
            (page.status, page.header("location")),
            (StatusCode::SEE_OTHER, "/console/models"),
            "{role}"
        );
        let set = page.headers[SET_COOKIE].to_str().unwrap();
        for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/console", "; Max-Age=28800"] {
            assert!(set.contains(attribute), "{set}");
        }
        for route in PAGES.iter().filter(|route| route.method == "GET") {
            let page = browser.get(&address(route)).await;
            let missing = route.path.contains("{id}");
            let fine = page.status == StatusCode::OK || route.path == "/console" || missing;
            assert!(fine, "{} as {role}: {}", route.path, page.status);
            assert!(
                page.header("content-security-policy").starts_with("default-src 'none'"),
                "{}",
                route.path
            );
        }
        // The session is no key of the interface.
        assert_eq!(browser.get("/v1/at-risk").await.status, StatusCode::UNAUTHORIZED);
    }
    let mut browser = Browser::new(&world.base);
    assert_eq!(browser.sign_in("nb_admin_wrong", "").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_form_of_another_site_begins_and_ends_nothing() {
    let world = World::new("").await;
    let browser = Browser::new(&world.base);
    let body = format!("key={}", key(&world.keys, Role::Admin));
    for path in ["/console/sign-in", "/console/sign-out"] {
        for headers in [&[][..], &[("origin", "null")], &[("origin", "https://evil.example")]] {
            let page = browser.ask("POST", path, headers, &body).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
            assert!(page.text.contains("foreign_origin") && !page.headers.contains_key(SET_COOKIE));
        }
    }
}

#[tokio::test]
async fn a_session_ends_after_eight_hours_with_its_key_and_on_request() {
    let mut world = World::new("").await;
    let mut browser = desk(&world).await;
    assert_eq!(browser.get("/console/models").await.status, StatusCode::OK);
    let hours = |n: i64, ms: i64| -> Timestamp { now().plus_millis(n * 3_600_000 + ms) };
    for (at, open) in [(hours(8, -1000), true), (hours(8, 0), false)] {
        let (base, _) = world.again(at).await;
        let later = Browser { base, client: browser.client.clone(), cookie: browser.cookie.clone() };
        assert_eq!(later.get("/console/models").await.status == StatusCode::OK, open, "{at}");
    }
    // A server that holds other keys of the same roles, but signs with the same.
    let (keys, _) = nextbest_functions::keys::Keys::generate().unwrap();
    world.config.keys = keys;
    let (base, _) = world.again(now()).await;
    let after = Browser { base, client: browser.client.clone(), cookie: browser.cookie.clone() };
    assert_eq!(after.get("/console/models").await.status, StatusCode::SEE_OTHER);
    let out = browser.ask("POST", "/console/sign-out", &[("origin", &browser.base)], "").await;
    assert_eq!(
        (out.status, out.headers[LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/console/sign-in")
    );
    let set = out.headers[SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("nextbest_session=;") && set.contains("Max-Age=0"), "{set}");
    browser.cookie = None;
    assert_eq!(browser.get("/console/models").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_list_is_filtered_and_worked_off_page_by_page() {
    let world = shop(120).await;
    let browser = desk(&world).await;
    let ids = |page: &Page| -> Vec<String> {
        let parts = page.text.split("href=\"/console/customers/C%20").skip(1);
        parts.map(|part| part[..3].to_owned()).collect()
    };
    let mut path = "/console/at-risk".to_owned();
    let mut seen = Vec::new();
    for size in [50, 50, 20] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert_eq!(ids(&page).len(), size);
        seen.extend(ids(&page));
        let next = page.text.split("<a href=\"").find(|part| part.contains("rel=\"next\""));
        // The part that names the next page begins with its address.
        let next =
            next.filter(|_| size == 50).map(|part| part.split('"').next().unwrap().replace("&amp;", "&"));
        match next {
            Some(next) => path = next,
            None => assert_eq!(size, 20),
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 120, "every customer once");

    let count = |query: &str| {
        let path = format!("/console/at-risk?{query}");
        let browser = &browser;
        async move { ids(&browser.get(&path).await).len() }
    };
    // Log-odds of churn are -1 + days / 30 - 2 orders of the window, so the bands are known: 0.5 from day 90 on.
    assert_eq!(count("segment=&band=&min_risk=&sort=").await, 50);
    assert_eq!(count("min_risk=100").await, 0);
    assert_eq!(count("segment=advocate").await, 0);
    let medium = count("band=medium").await;
    assert_eq!(medium, count("min_risk=25").await);
    for (query, told) in
        [("min_risk=101", "min_risk"), ("band=top", "band"), ("segment=none", "advocate"), ("sort=x", "sort")]
    {
        let page = browser.get(&format!("/console/at-risk?{query}")).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(
            page.text.contains("<h1>Bad Request</h1>") && page.text.contains(told),
            "{query}: {}",
            page.text
        );
    }
    let page = browser.get("/console/at-risk").await;
    for words in ["no lifetime value model yet", "no uplift model yet"] {
        assert!(page.text.contains(words), "{words}");
    }
}

#[tokio::test]
async fn the_slider_tells_the_point_it_stands_at_with_a_script_and_without() {
    let world = shop(40).await;
    let browser = desk(&world).await;
    let first = browser.get("/console/at-risk").await.text;
    assert!(first.contains("<dd>4 of 40</dd>"), "a tenth of the list is where it begins");
    for (tenth, n) in [(1, 1), (20, 20), (40, 40)] {
        let told = format!("<dd>{n} of 40</dd>");
        let part = browser
            .ask("GET", &format!("/console/at-risk/cutoff?cutoff={tenth}"), &[("hx-request", "true")], "")
            .await;
        assert!(part.text.contains(&told) && !part.text.contains("<html"), "{}", part.text);
        let whole = browser.get(&format!("/console/at-risk?cutoff={tenth}")).await;
        assert!(whole.text.contains(&told) && whole.text.contains("<html"));
        assert!(whole.text.contains(&part.text), "both draw the same");
    }
    let all = browser.get("/console/at-risk/cutoff?cutoff=40").await.text;
    assert!(all.contains("(100.0 %)"), "{all}");
}

#[tokio::test]
async fn a_customer_is_found_and_told() {
    let world = shop(3).await;
    let browser = desk(&world).await;
    let found = browser.get("/console/customers?customer_id=C+001").await;
    assert_eq!(found.header("location"), "/console/customers/C%20001");
    let page = browser.get(found.header("location")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for words in
        ["Customer C 001", "Scores", "What would be decided now", "Changes of stage", "Features", "Outcome: "]
    {
        assert!(page.text.contains(words), "{words}");
    }
    let price =
        browser.ask("GET", "/console/customers/C%20001/price?sku=MUG", &[("hx-request", "true")], "").await;
    assert!(price.text.contains("Would be quoted") && !price.text.contains("<html"), "{}", price.text);
    assert!(browser.get("/console/customers/C%20001/price?sku=MUG").await.text.contains("<html"));
    let unknown = browser.get("/console/customers/%3Cscript%3E").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(
        unknown.text.contains("&lt;script&gt;") && !unknown.text.contains("<script>"),
        "{}",
        unknown.text
    );
    // Looking wrote nothing.
    let at = now().as_millis() / 1000;
    assert!(world.app.store.decision("dec_1", at).await.unwrap().is_none());
}

#[tokio::test]
async fn who_is_held_out_is_told_so_with_every_action_that_fell() {
    let world = ruled("[control.policy]\nshare = 0.5\nsalt = \"p\"\n", 16).await;
    let browser = desk(&world).await;
    assert!(browser.get("/console/at-risk").await.text.contains("held out of the policy"));
    let held_out = (0..16).map(|n| format!("C {n:03}")).find(|id| {
        let id = CustomerId::new(id.clone()).unwrap();
        world.app.project.policy.control().assign(&id, now()).policy
    });
    let path = format!("/console/customers/{}", held_out.unwrap().replace(' ', "%20"));
    let page = browser.get(&path).await.text;
    assert!(page.contains("Why not") && page.contains("<dd>held out of the policy</dd>"), "{page}");
    let actions = world.app.project.policy.actions().filter(|action| {
        page.contains(&format!("<th scope=\"row\">{}</th>", action.id.to_string().replace('_', " ")))
    });
    assert_eq!(actions.count(), world.app.project.policy.actions().len());
}

#[tokio::test]
async fn models_prices_and_reports_are_shown_from_what_is_there() {
    let world = shop(1).await;
    let browser = desk(&world).await;
    let models = browser.get("/console/models").await.text;
    let artifact = world.app.artifact.as_ref().unwrap();
    for words in ["by hand", "0.750", artifact.sha256(), "<code>nextbest train</code>"] {
        assert!(models.contains(words), "{words}");
    }
    assert!(browser.get("/console/prices").await.text.contains("href=\"/console/prices/LAMP\""));
    let mug = browser.get("/console/prices/MUG").await.text;
    assert!(
        mug.contains("Elasticity") && mug.contains("-2.00 (-2.40 to -1.60)") && mug.contains("(quoted)"),
        "{mug}"
    );
    assert_eq!(browser.get("/console/prices/none").await.status, StatusCode::NOT_FOUND);

    assert!(browser.get("/console/actions").await.text.contains("nextbest report decisions"));
    assert_eq!(browser.get("/console/reports/decisions.html").await.status, StatusCode::NOT_FOUND);
    let artifacts = world.folder.path().join("artifacts");
    std::fs::write(artifacts.join("decisions.html"), "<!doctype html><p>reach").unwrap();
    std::fs::write(artifacts.join("other.html"), "other").unwrap();
    assert!(browser.get("/console/metrics").await.text.contains("nextbest report metrics --project DIR"));
    std::fs::write(artifacts.join("metrics.html"), "<!doctype html><p>lives").unwrap();
    assert!(browser.get("/console/metrics").await.text.contains("src=\"/console/reports/metrics.html\""));
    let link = "href=\"/console/reports/at-risk.html\"";
    assert!(!browser.get("/console/at-risk").await.text.contains(link), "there is no such report yet");
    std::fs::write(artifacts.join("at-risk.html"), "<!doctype html><p>earlier").unwrap();
    assert!(browser.get("/console/at-risk").await.text.contains(link));
    assert!(browser.get("/console/actions").await.text.contains("<iframe"));
    let report = browser.get("/console/reports/decisions.html").await;
    assert_eq!((report.status, report.text.as_str()), (StatusCode::OK, "<!doctype html><p>reach"));
    assert!(report.header("content-security-policy").ends_with("sandbox"));
    for name in ["other.html", "mini.nba", "..%2Fpolicy.toml", "CURRENT"] {
        assert_eq!(
            browser.get(&format!("/console/reports/{name}")).await.status,
            StatusCode::NOT_FOUND,
            "{name}"
        );
    }
}

/// Bytes of the first page with what it asks for, none of it packed.
#[tokio::test]
async fn the_first_page_is_below_100_kb_and_asks_nobody_else() {
    let world = shop(60).await;
    let browser = desk(&world).await;
    let page = browser.get("/console/at-risk").await;
    let mut sizes = vec![("the page".to_owned(), page.text.len())];
    let sources = page.text.split(['"']).filter(|text| text.starts_with("/console/assets/"));
    for source in sources {
        let file = browser.get(source).await;
        assert_eq!(file.status, StatusCode::OK, "{source}");
        assert!(file.header("cache-control").contains("immutable"));
        sizes.push((source.to_owned(), file.text.len()));
    }
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    let total: usize = sizes.iter().map(|(_, bytes)| bytes).sum();
    println!("{total} bytes: {sizes:?}");
    assert!(total < 100_000, "{total} bytes: {sizes:?}");
    for outside in ["http://", "https://", "style=\"", "onclick", "<style"] {
        assert!(!page.text.contains(outside), "{outside}");
    }
    let packed = browser.ask("GET", "/console/at-risk", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "accept-encoding"));
    assert!(packed.header("content-security-policy").contains("default-src"), "what hardens a page stays");
    let scripts: Vec<&str> = page.text.split("<script").skip(1).collect();
    assert!(
        scripts
            .iter()
            .all(|script| script.contains("src=\"/console/assets/") && script.contains("></script>"))
    );
}
