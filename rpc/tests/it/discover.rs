//! The OpenRPC document of `horae_` says what the code does, and the guide names every method.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::serve;

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_held_to_the_code() {
    let served = serve().await;
    let document = served.call("rpc_discover", json!([])).await;
    let methods = document["methods"].as_array().unwrap();
    let documented: BTreeSet<&str> = methods.iter().map(|method| method["name"].as_str().unwrap()).collect();
    let ours = served.server.methods().iter().copied().filter(|name| name.starts_with("horae_"));
    assert_eq!(documented, ours.collect::<BTreeSet<_>>());
    for method in methods {
        let name = method["name"].as_str().unwrap();
        let validator = jsonschema::validator_for(&method["result"]["schema"]).unwrap();
        let params = method["params"].as_array().unwrap();
        let required = params.iter().filter(|param| param["required"] == true).count();
        let sample = |value: &str| vec![json!(value); required];
        let asked: Vec<Value> = if required == 0 {
            let pairs = if params.len() == 2 { json!(["0x1", "0x2"]) } else { json!(["0x1"]) };
            let asked = if params.is_empty() { json!([]) } else { pairs };
            vec![json!([]), asked]
        } else {
            vec![json!(sample("0x1")), json!(sample("latest")), json!(sample("0x5")), json!(sample("0xffff"))]
        };
        for params in asked {
            let answer = served.call(name, params.clone()).await;
            let valid = validator.validate(&answer).map_err(|why| why.to_string());
            assert_eq!(valid, Ok(()), "{name} {params}: {answer}");
        }
        // One parameter more than documented is refused, so the document has them all.
        let surplus = vec![Value::Null; params.len() + 1];
        assert_eq!(served.error(name, json!(surplus)).await.0, -32602, "{name}");
        let short = served.response(name, json!([])).await;
        assert_eq!(short.get("error").is_some(), required > 0, "{name}: {short}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_names_every_method() {
    let served = serve().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rpc.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| `") && line.contains("| yes")).collect();
    let named: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').filter(|name| name.contains('_')))
        .collect();
    assert_eq!(named, served.server.methods().iter().copied().collect::<BTreeSet<_>>());
}
