//! The stand-in answers as a real API server 1.36 did when it was asked the same.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Canned, User};
use crate::client::{Client, MERGE, STRATEGIC};
use crate::cluster::{Cluster, TestNode};
use crate::pods::PodSpec;

fn world(pods: &[PodSpec]) -> (Cluster, TestNode, Client) {
    let cluster = Cluster::for_test();
    let node = cluster.make_node("api", "i-0123456789abcdef1");
    cluster.make_pods(&node, pods);
    let client = cluster.client_of(&node);
    if cluster.api().is_none() {
        // The authorizer and the admission of a real one read informers.
        crate::wait::expect("the node's pods are known", Duration::from_secs(5), || {
            let last = pods.last().map(|pod| client.get(&pod_path(&node, &pod.name)).status);
            last.is_none_or(|status| status == 200).then_some(())
        });
    }
    (cluster, node, client)
}

fn pod_path(node: &TestNode, name: &str) -> String {
    format!("/api/v1/namespaces/{}/pods/{name}", node.namespace)
}

fn evict(client: &Client, node: &TestNode, name: &str, options: &Value) -> (u16, Value) {
    let mut eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
                              "metadata": {"name": name, "namespace": node.namespace}});
    if !options.is_null() {
        eviction["deleteOptions"] = options.clone();
    }
    let answer = client.post(&format!("{}/eviction", pod_path(node, name)), &eviction);
    (answer.status, answer.body)
}

#[test]
fn a_node_sees_itself_and_nothing_else() {
    let (_cluster, node, client) = world(&[PodSpec::new("a-0")]);
    let name = &node.name;
    let review = client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).ok();
    assert_eq!(review["status"]["userInfo"]["username"], format!("system:node:{name}"));
    assert_eq!(
        client.get(&format!("/api/v1/nodes/{name}")).ok()["spec"]["providerID"],
        "aws:///eu-west-1a/i-0123456789abcdef1"
    );
    let partial = [("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")];
    let metadata = client.request("GET", &format!("/api/v1/nodes/{name}"), &partial, &Value::Null).ok();
    assert_eq!((metadata["kind"].as_str(), metadata.get("spec")), (Some("PartialObjectMetadata"), None));
    for (path, message) in [
        (
            "/api/v1/nodes/other".to_owned(),
            format!(
                "nodes \"other\" is forbidden: User \"system:node:{name}\" cannot get resource \"nodes\" in API group \"\" at the cluster scope: node '{name}' cannot read 'other', only its own Node object"
            ),
        ),
        (
            "/api/v1/nodes".to_owned(),
            format!(
                "nodes is forbidden: User \"system:node:{name}\" cannot list resource \"nodes\" in API group \"\" at the cluster scope: node '{name}' cannot read all nodes, only its own Node object"
            ),
        ),
        (
            "/api/v1/pods".to_owned(),
            format!(
                "pods is forbidden: User \"system:node:{name}\" cannot list resource \"pods\" in API group \"\" at the cluster scope: can only list/watch pods with spec.nodeName field selector"
            ),
        ),
        (
            pod_path(&node, "gone"),
            format!(
                "pods \"gone\" is forbidden: User \"system:node:{name}\" cannot get resource \"pods\" in API group \"\" in the namespace \"{}\": no relationship found between node '{name}' and this object",
                node.namespace
            ),
        ),
        (
            "/apis/policy/v1/poddisruptionbudgets".to_owned(),
            format!(
                "poddisruptionbudgets.policy is forbidden: User \"system:node:{name}\" cannot list resource \"poddisruptionbudgets\" in API group \"policy\" at the cluster scope"
            ),
        ),
    ] {
        let answer = client.get(&path);
        assert_eq!((answer.status, answer.message()), (403, message.as_str()), "{path}");
    }
    let own = client.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")).ok();
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(own["items"][0].get("kind"), None, "what is in a list does not say its kind");
}

#[test]
fn a_node_may_cordon_and_label_itself_but_not_taint() {
    let (cluster, node, client) = world(&[]);
    let path = format!("/api/v1/nodes/{}", node.name);
    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    let patch = json!({"metadata": {"labels": {label: "true"}}, "spec": {"unschedulable": true}});
    client.patch(&path, MERGE, &patch).ok();
    crate::wait::expect("the taint of a cordoned node", Duration::from_secs(5), || {
        let node = cluster.node(&node);
        let taint = node["spec"]["taints"][0]["key"] == "node.kubernetes.io/unschedulable";
        (taint && node["spec"]["unschedulable"] == true && node["metadata"]["labels"][label] == "true").then_some(())
    });
    for (patch, message) in [
        (
            json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
            format!("nodes \"{0}\" is forbidden: node \"{0}\" is not allowed to modify taints", node.name),
        ),
        (
            json!({"metadata": {"labels": {"foo.kubernetes.io/x": "y"}}}),
            format!("nodes \"{}\" is forbidden: is not allowed to modify labels: foo.kubernetes.io/x", node.name),
        ),
    ] {
        let answer = client.patch(&path, MERGE, &patch);
        assert_eq!((answer.status, answer.message()), (403, message.as_str()));
    }
    let condition = json!({"status": {"conditions": [{"type": "TerminationNotice", "status": "True"}]}});
    client.patch(&format!("{path}/status"), STRATEGIC, &condition).ok();
    let conditions = cluster.node(&node)["status"]["conditions"].as_array().map(Vec::len);
    assert_eq!(conditions, Some(2), "Ready is still there");
}

#[test]
fn an_eviction_sets_the_grace_and_the_condition_and_can_be_repeated() {
    let (cluster, node, client) = world(&[PodSpec::new("a-0"), PodSpec::new("a-1"), PodSpec::new("b-0").pending()]);
    let uid = cluster.pod(&node, "a-0").unwrap()["metadata"]["uid"].clone();
    assert_eq!(evict(&client, &node, "a-0", &json!({"dryRun": ["All"]})).0, 201);
    assert_eq!(cluster.pod(&node, "a-0").unwrap()["metadata"].get("deletionTimestamp"), None);
    let wrong = evict(&client, &node, "a-0", &json!({"preconditions": {"uid": "2"}}));
    assert_eq!(wrong.0, 409);
    assert_eq!(wrong.1["details"], json!({"name": "a-0", "kind": "Pod"}));
    for options in [json!({"preconditions": {"uid": uid}}), json!({"preconditions": {"uid": uid}})] {
        assert_eq!(evict(&client, &node, "a-0", &options).0, 201);
    }
    let pod = cluster.pod(&node, "a-0").unwrap();
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    assert!(conditions.iter().any(|c| c["type"] == "DisruptionTarget" && c["reason"] == "EvictionByEvictionAPI"));
    assert_eq!(evict(&client, &node, "a-1", &json!({"gracePeriodSeconds": 7})).0, 201);
    let grace = || cluster.pod(&node, "a-1").unwrap()["metadata"]["deletionGracePeriodSeconds"].clone();
    assert_eq!(grace(), 7);
    for (asked, given) in [(60, 7), (3, 3)] {
        client.delete(&pod_path(&node, "a-1"), &json!({"gracePeriodSeconds": asked})).ok();
        assert_eq!(grace(), given);
    }
    client.delete(&pod_path(&node, "a-1"), &json!({"gracePeriodSeconds": 0})).ok();
    assert!(cluster.pod(&node, "a-1").is_none());
    let gone = crate::wait::expect("404", Duration::from_secs(5), || {
        Some(evict(&client, &node, "a-1", &Value::Null)).filter(|answer| answer.0 == 404)
    });
    assert_eq!(gone.1["message"], "pod \"a-1\" not found");
}

#[test]
fn a_budget_allows_what_its_healthy_pods_allow() {
    let (cluster, node, client) = world(&PodSpec::many("db", 3));
    cluster.make_budget(&node, "db", "db", 2, 3);
    assert_eq!(evict(&client, &node, "db-0", &Value::Null).0, 201);
    let refused = crate::wait::expect("a closed budget", Duration::from_secs(5), || {
        Some(evict(&client, &node, "db-1", &json!({"dryRun": ["All"]}))).filter(|answer| answer.0 == 429)
    });
    let causes = &refused.1["details"]["causes"];
    assert_eq!(causes[0]["reason"], "DisruptionBudget");
    assert_eq!(causes[0]["message"], "The disruption budget db needs 2 healthy pods and has 2 currently");
    // One that is stopping already may be asked again, and a DELETE passes over budgets.
    assert_eq!(evict(&client, &node, "db-0", &Value::Null).0, 201);
    client.delete(&pod_path(&node, "db-2"), &json!({"gracePeriodSeconds": 5})).ok();
    cluster.make_budget(&node, "all", "db", 0, 1);
    let two = evict(&client, &node, "db-1", &Value::Null);
    assert_eq!((two.0, two.1["code"].as_u64()), (500, Some(500)));
}

#[test]
fn only_pods_of_the_own_node_may_be_touched() {
    let (cluster, node, client) = world(&[]);
    let other = TestNode { name: "elsewhere".to_owned(), ..node.clone() };
    cluster.make_pod(&other, &PodSpec::new("a-0"));
    let refused = crate::wait::expect("an eviction refused", Duration::from_secs(5), || {
        Some(evict(&client, &node, "a-0", &Value::Null)).filter(|answer| answer.0 == 403)
    });
    let why =
        format!("pods \"a-0\" is forbidden: node {} can only evict pods with spec.nodeName set to itself", node.name);
    assert_eq!(refused.1["message"], why);
    assert_eq!(client.delete(&pod_path(&node, "a-0"), &json!({})).status, 403);
    let condition = json!({"status": {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}});
    assert_eq!(client.patch(&format!("{}/status", pod_path(&node, "a-0")), STRATEGIC, &condition).status, 403);
    assert_eq!(client.patch(&pod_path(&node, "a-0"), MERGE, &json!({"metadata": {}})).status, 403);
}

#[test]
fn a_streamed_list_gives_all_pods_then_a_bookmark_then_changes() {
    let (cluster, node, client) = world(&PodSpec::many("a", 2));
    let path = format!(
        "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{}&sendInitialEvents=true&\
         resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=20",
        node.name
    );
    let mut seen = Vec::new();
    client.watch(&path, |event| {
        let object = &event["object"];
        let what = event["type"].as_str().unwrap_or_default().to_owned();
        if what == "BOOKMARK" {
            assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
            evict(&client, &node, "a-0", &Value::Null);
            cluster.remove_pod(&node, "a-0");
        }
        seen.push((what.clone(), object["metadata"]["name"].as_str().unwrap_or_default().to_owned()));
        what != "DELETED"
    });
    seen.dedup();
    let expected = [("ADDED", "a-0"), ("ADDED", "a-1"), ("BOOKMARK", ""), ("MODIFIED", "a-0"), ("DELETED", "a-0")];
    assert_eq!(seen, expected.map(|(what, name)| (what.to_owned(), name.to_owned())));
}

#[test]
fn the_audit_log_has_each_request_of_a_node() {
    let (cluster, node, client) = world(&[PodSpec::new("a-0")]);
    evict(&client, &node, "a-0", &Value::Null);
    client.get("/api/v1/nodes");
    crate::wait::expect("the audit log", Duration::from_secs(5), || {
        let seen: Vec<_> = cluster.audit_of(&node).iter().map(|a| (a.what(), a.name.clone(), a.code)).collect();
        let of = |what: &str, name: &str, code| seen.contains(&(what.to_owned(), name.to_owned(), code));
        (of("create pods/eviction", "a-0", 201) && of("list nodes", "", 403)).then_some(())
    });
}

// What only a stand-in can be told.

#[test]
fn an_older_server_knows_no_streamed_lists_and_lets_a_gone_pod_be_read() {
    let cluster = Cluster::stand_in();
    let node = cluster.make_node("old", "i-1");
    let client = cluster.client_of(&node);
    cluster.api().unwrap().switch(|s| (s.selectors, s.streamed_lists, s.self_subject_review) = (false, false, false));
    let list = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", node.name);
    let streamed = client.get(&format!("{list}&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));
    assert_eq!(streamed.status, 422, "{}", streamed.body);
    assert_eq!(client.get(&pod_path(&node, "gone")).status, 404);
    assert_eq!(client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).status, 404);
    let from = client.get(&list).ok()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    cluster.make_pod(&node, &PodSpec::new("a-0"));
    cluster.api().unwrap().compact();
    let mut events = Vec::new();
    client.watch(&format!("{list}&watch=1&resourceVersion={from}"), |event| {
        events.push((event["type"].clone(), event["object"]["code"].clone()));
        true
    });
    assert_eq!(events, [(json!("ERROR"), json!(410))]);
}

#[test]
fn tokens_certificates_and_prepared_answers_count_as_told() {
    let cluster = Cluster::stand_in();
    let node = cluster.make_node("who", "i-1");
    let api = cluster.api().unwrap();
    let path = format!("/api/v1/nodes/{}", node.name);
    let nobody = Client::new(cluster.server(), &cluster.authority().certificate_pem, None);
    let with =
        |token: &str| nobody.request("GET", &path, &[("Authorization", &format!("Bearer {token}"))], &Value::Null);
    assert_eq!(nobody.get(&path).status, 403);
    assert_eq!(with("t").status, 401);
    api.accept_token("t", User::new(&format!("system:node:{}", node.name), &["system:nodes"]));
    assert_eq!(with("t").status, 200);
    api.revoke_token("t");
    assert_eq!(with("t").status, 401);
    let short = cluster.authority().client("system:node:x", "system:nodes", Duration::from_secs(1));
    let short = Client::new(cluster.server(), &cluster.authority().certificate_pem, Some(&short));
    crate::wait::expect("an expired certificate is refused", Duration::from_secs(10), || {
        (short.get("/api/v1/nodes/x").status == 401).then_some(())
    });
    let headers = vec![("Retry-After", "1")];
    let (verb, resource, body) = ("get", "nodes", "slow down");
    api.answer_next(Canned { verb, resource, times: 1, status: 429, headers, body });
    let client = cluster.client_of(&node);
    assert_eq!([client.get(&path).status, client.get(&path).status], [429, 200]);
}

#[test]
fn an_unobserved_budget_asks_for_patience() {
    let cluster = Cluster::stand_in();
    let node = cluster.make_node("unobserved", "i-1");
    cluster.make_pods(&node, &PodSpec::many("db", 2));
    cluster.make_budget(&node, "db", "db", 1, 2);
    cluster.api().unwrap().switch(|switches| switches.budgets_observed = false);
    let (status, body) = evict(&cluster.client_of(&node), &node, "db-0", &Value::Null);
    assert_eq!((status, body["details"]["retryAfterSeconds"].as_u64()), (429, Some(10)));
}

#[test]
fn nothing_new_comes_into_a_namespace_that_is_going_away() {
    let cluster = Cluster::stand_in();
    let node = cluster.make_node("going", "i-1");
    cluster.make_pods(&node, &[PodSpec::new("a-0")]);
    cluster.admin.delete(&format!("/api/v1/namespaces/{}", node.namespace), &json!({})).ok();
    assert_eq!(cluster.pod(&node, "a-0").unwrap()["metadata"]["deletionGracePeriodSeconds"], 30);
    let (status, body) = evict(&cluster.client_of(&node), &node, "a-0", &Value::Null);
    assert_eq!((status, &body["details"]["causes"][0]["reason"]), (403, &json!("NamespaceTerminating")));
}
