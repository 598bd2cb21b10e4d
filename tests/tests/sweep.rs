//! What has expired leaves the embedded store only where somebody asked for it: who goes by another clock still needs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use nextbest_functions::store::{QuoteEntry, Store};
use nextbest_tests::embedded::Embedded;
use nextbest_tests::fault::raw;
use serde_json::json;

/// A store with a quote that expired in 1970.
async fn with_an_expired_quote(embedded: &Embedded) {
    let store = Store::local(embedded.endpoint(), "nextbest");
    store.create_table().await.unwrap();
    let quote = QuoteEntry { quote_id: "q", document: &json!({}), expires_at_seconds: 1_000 };
    store.put_quote(&quote).await.unwrap();
}

async fn is_there(embedded: &Embedded) -> bool {
    let key = json!({ "pk": { "S": "quote#q" }, "sk": { "S": "quote" } });
    let item = raw(embedded.endpoint(), "GetItem", &json!({ "TableName": "nextbest", "Key": key })).await;
    item["Item"].is_object()
}

#[tokio::test]
async fn expired_items_are_swept_only_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, sweep| Embedded::start(&folder.path().join(name), sweep).unwrap();
    let swept = start("swept.sqlite", Some(Duration::from_millis(50)));
    let kept = start("kept.sqlite", None);
    with_an_expired_quote(&kept).await;
    with_an_expired_quote(&swept).await;
    // A minute is beyond any delay of a machine at work; usually it takes a tenth of a second.
    for _ in 0..600 {
        if !is_there(&swept).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!is_there(&swept).await, "a minute after");
    assert!(is_there(&kept).await, "as long after");
}
