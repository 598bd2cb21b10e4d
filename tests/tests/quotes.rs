//! Quotes over HTTP: the same for the same customer, signed, redeemed once.

use std::time::Duration;

use nextbest_functions::keys::Role;
use nextbest_functions::signing::QuoteKeys;
use nextbest_models::units::DAY_MS;
use nextbest_tests::desk::{Desk, QUOTE, basket, price, redemption_path, world};
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn the_same_customer_and_basket_get_the_same_quote_until_it_expires() {
    let world = world("", "").await;
    let desk = Desk::at(&world, now()).await;
    let first = desk.quote(&basket("c1")).await;
    assert_eq!((&first["outcome"], price(&first), &first["degraded"]), (&json!("quoted"), 1199, &json!([])));
    let mut again = Desk::at(&world, now().plus_millis(60_000)).await.quote(&basket("c1")).await;
    again["timing_us"] = first["timing_us"].clone();
    assert_eq!(again, first, "from another process, a minute later");
    let other = desk.quote(&basket("c2")).await;
    assert_ne!(other["quote_id"], first["quote_id"]);
    // In another basket the price holds as long, and no longer, than it was promised.
    let more =
        json!({ "customer_id": "c1", "currency": "GBP", "items": [{ "sku": "MUG" }, { "sku": "LAMP" }] });
    let locked = desk.quote(&more).await;
    assert_eq!((&locked["items"][0]["basis"], price(&locked)), (&json!("locked"), 1199));
    let later = Desk::at(&world, now().plus_millis(31 * 60_000)).await.quote(&basket("c1")).await;
    assert_ne!(later["quote_id"], first["quote_id"]);
    // A visit without a customer is a holder too; nobody in particular is not.
    let visit = json!({ "session_id": "s", "currency": "GBP", "items": [{ "sku": "MUG" }] });
    assert_eq!(desk.quote(&visit).await["quote_id"], desk.quote(&visit).await["quote_id"]);
    let nobody = json!({ "currency": "GBP", "items": [{ "sku": "MUG" }] });
    assert_ne!(desk.quote(&nobody).await["quote_id"], desk.quote(&nobody).await["quote_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_callers_are_told_one_quote_and_one_price() {
    let world = world("cool_down_hours = 24", "").await;
    let desk = Desk::at(&world, now()).await;
    let (one, all) = (basket("c1"), (0..48).map(|n| basket(&format!("n{}", n / 2))).collect::<Vec<_>>());
    let same = futures(std::iter::repeat_n(&one, 32).map(|body| desk.quote(body))).await;
    assert!(same.iter().all(|quote| quote["quote_id"] == same[0]["quote_id"]));
    let different = futures(all.iter().map(|body| desk.quote(body))).await;
    assert!(different.iter().all(|quote| price(quote) == price(&same[0]) && quote["degraded"] == json!([])));
}

async fn futures<T>(all: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = all.into_iter().map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (running, done) in pinned.iter_mut().zip(&mut done) {
            if let Some(future) = running
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                (*running, *done) = (None, Some(value));
            }
        }
        if done.iter().all(Option::is_some) {
            return std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect());
        }
        std::task::Poll::Pending
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_redemptions_one_wins() {
    let world = world("", "").await;
    let desk = Desk::at(&world, now()).await;
    let quote = desk.quote(&basket("c1")).await;
    let orders: Vec<String> = (0..1000).map(|n| format!("order-{n}")).collect();
    let answers = futures(orders.iter().map(|order| desk.redeem(&quote, order))).await;
    let won: Vec<&Value> =
        answers.iter().filter(|(status, _)| *status == 200).map(|(_, answer)| answer).collect();
    assert_eq!(won.len(), 1);
    let lost = answers.iter().filter(|(status, answer)| *status == 409 && answer["code"] == "quote_redeemed");
    assert_eq!(lost.count(), 999);
    assert_eq!((&won[0]["total_minor"], &won[0]["repeated"]), (&json!(2 * price(&quote)), &json!(false)));
    // The winner may ask again, whenever: it is told the same.
    let order = won[0]["order_id"].as_str().unwrap();
    for at in [now().plus_millis(1), now().plus_millis(DAY_MS)] {
        let (status, repeated) = Desk::at(&world, at).await.redeem(&quote, order).await;
        assert_eq!((status, &repeated["repeated"]), (StatusCode::OK, &json!(true)), "{repeated}");
        assert_eq!(repeated["redeemed_at"], won[0]["redeemed_at"]);
    }
    // And the same basket is quoted anew, at the price that is promised.
    let next = desk.quote(&basket("c1")).await;
    assert_ne!(next["quote_id"], quote["quote_id"]);
    assert_eq!(price(&next), price(&quote));
}

#[tokio::test]
async fn redemptions_survive_throttles_and_lost_answers() {
    // Of three calls one is throttled; every redemption is tried until it is answered.
    let plan = |_: &str, n: usize| if n.is_multiple_of(3) { Fault::Throttle } else { Fault::None };
    let world = World::with("", Duration::from_secs(20), plan).await;
    let desk = Desk { world: &world, base: world.base.clone() };
    let quote = desk.quote(&basket("c1")).await;
    let mut won = 0;
    for order in 0..12 {
        let (status, _) = desk.redeem(&quote, &format!("order-{order}")).await;
        won += u32::from(status == 200);
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn an_expired_quote_is_gone_and_names_a_new_one() {
    let world = world("", "").await;
    let quote = Desk::at(&world, now()).await.quote(&basket("c1")).await;
    let late = Desk::at(&world, now().plus_millis(30 * 60_000)).await;
    let request = world.client.post(format!("{}{}", late.base, redemption_path(&quote)));
    let body = json!({ "signature": quote["signature"], "order_id": "o" });
    let response =
        request.header("x-api-key", key(&world.keys, Role::Checkout)).json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::GONE);
    let link = response.headers()["link"].to_str().unwrap().to_owned();
    let address = link.strip_prefix('<').and_then(|rest| rest.split_once('>')).unwrap().0.to_owned();
    assert_eq!(response.json::<Value>().await.unwrap()["code"], "quote_expired");
    let show = |base: &str, path: &str| {
        let request = world.client.get(format!("{base}{path}"));
        request.header("x-api-key", key(&world.keys, Role::Checkout)).send()
    };
    let new: Value = show(&late.base, &address).await.unwrap().json().await.unwrap();
    assert_eq!((&new["customer_id"], &new["items"][0]["sku"]), (&json!("c1"), &json!("MUG")), "{new}");
    assert_eq!(late.redeem(&new, "o").await.0, 200, "the order goes on with it");
    let path = format!("{QUOTE}s/{}", quote["quote_id"].as_str().unwrap());
    let gone = show(&late.base, &path).await.unwrap();
    assert_eq!((gone.status(), gone.headers().contains_key("link")), (StatusCode::GONE, true));
}

#[tokio::test]
async fn what_is_forged_guessed_or_altered_is_refused() {
    let world = world("", "").await;
    let desk = Desk::at(&world, now()).await;
    let (quote, other) = (desk.quote(&basket("c1")).await, desk.quote(&basket("c2")).await);
    let body = |more: Value| {
        let mut body = json!({ "signature": quote["signature"], "order_id": "o" });
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    let foreign: QuoteKeys = "test:HRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA__8".parse().unwrap();
    let forged = foreign.sign(&json!({ "iss": "nextbest", "jti": quote["quote_id"], "iat": 0, "exp": 0,
        "currency": "GBP", "items": [["MUG", 2, 1]] }));
    let token = quote["signature"].as_str().unwrap();
    let none = format!("eyJhbGciOiJub25lIn0.{}.", token.split('.').nth(1).unwrap());
    let cases = [
        (json!({ "signature": forged }), "invalid_signature", "signature"),
        (json!({ "signature": none }), "invalid_signature", "signature"),
        (json!({ "signature": other["signature"] }), "invalid_signature", "signature"),
        (json!({ "signature": "" }), "invalid_signature", "signature"),
        (json!({ "order_id": "" }), "invalid_field", "order_id"),
        (json!({ "items": [{ "sku": "LAMP", "quantity": 1 }] }), "quote_differs", "items[0].sku"),
        (json!({ "items": [{ "sku": "MUG", "quantity": 3 }] }), "quote_differs", "items[0].quantity"),
        (json!({ "items": [{ "sku": "MUG", "quantity": 0 }] }), "quote_differs", "items[0].quantity"),
        (json!({ "items": [] }), "quote_differs", "items"),
        (json!({ "total_minor": 1 }), "quote_differs", "total_minor"),
        (json!({ "price": 1 }), "invalid_field", "price"),
    ];
    for (more, code, path) in cases {
        let (status, problem) = desk.post(&redemption_path(&quote), &body(more.clone())).await;
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!(code)), "{more} {problem}");
        assert_eq!(problem["path"], path, "{problem}");
    }
    let two = json!({ "items": [{ "sku": "LAMP", "quantity": 1 }, { "sku": "MUG", "quantity": 9 }] });
    let (_, problem) = desk.post(&redemption_path(&quote), &body(two)).await;
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2), "all at once: {problem}");
    let guessed = json!({ "quote_id": "quo_00000000000000000000000000000000" });
    let (status, problem) = desk.post(&redemption_path(&guessed), &body(json!({}))).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("invalid_signature")));
    // A clock that was set back does not let a quote live on.
    let (status, problem) = Desk::at(&world, now().plus_millis(-DAY_MS)).await.redeem(&quote, "o").await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("clock_behind")), "{problem}");
    // After all that it is still there to be taken, in part.
    let part = body(json!({ "items": [{ "sku": "MUG", "quantity": 1 }], "total_minor": price(&quote) }));
    let (status, receipt) = desk.post(&redemption_path(&quote), &part).await;
    assert_eq!((status.as_u16(), &receipt["total_minor"]), (200, &json!(price(&quote))), "{receipt}");
    let whole = body(json!({}));
    let (status, problem) = desk.post(&redemption_path(&quote), &whole).await;
    assert_eq!(
        (status.as_u16(), &problem["path"]),
        (409, &json!("items")),
        "the same order, other items: {problem}"
    );
}
