//! `orders load`.

use super::process::{ORDERS, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_measured_and_told_as_json() {
    let arguments = [
        "load",
        "--rate",
        "300",
        "--seconds",
        "1",
        "--groups",
        "2",
        "--idle",
        "1",
        "--catch-up",
        "600",
        "--safety-interval",
        "1500ms",
        "--node-process",
        "--json",
        "-",
    ];
    let ended = run(ORDERS, &arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let figures: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let groups = figures["load"]["by_group"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    for group in groups {
        assert_eq!((&group["handled"], &group["lost"]), (&300.into(), &0.into()), "{figures:#}");
        assert!(group["latency"]["p50"].as_f64().unwrap() > 0.0);
    }
    for phase in ["catching_up", "replaying"] {
        assert_eq!(figures[phase]["events"], 600, "{figures:#}");
    }
    assert!(figures["idle"]["cores"].as_f64().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_without_a_rate_is_refused() {
    let ended = run(ORDERS, &["load", "--rate", "0"]).await;
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("--rate"), "{ended:#?}");
}
