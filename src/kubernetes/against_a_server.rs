//! The client as a whole against an API server: the stand-in, or the real one that `SPOT_GUARD_TEST_CLUSTER` names.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use stand_ins::api::User;
use stand_ins::certificates::Authority;
use stand_ins::cluster::{Cluster, TestNode};
use stand_ins::faults::Faults;
use stand_ins::folder::Folder;
use stand_ins::kubeconfig::Kubeconfigs;
use stand_ins::kubelet::Kubelet;
use stand_ins::pods::PodSpec;
use stand_ins::wait;

use super::client::Client;
use super::*;
use crate::config::{Kubernetes, Mode};
use crate::moment::Timestamp;
use crate::objects::{Answer, Node, PodId, Refusal, Standing, Taint};

const INSTANCE: &str = "i-0ab1c2";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";
const V1: &str = "client.authentication.k8s.io/v1";

/// Long enough for anything that is to happen, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(kubeconfig: &Path) -> Kubernetes {
    Kubernetes {
        mode: Mode::Auto,
        kubeconfig: Some(kubeconfig.to_owned()),
        node_name: None,
        proxy: None,
        exclude_from_load_balancers: true,
        taints: Vec::new(),
        conditions: true,
        events: true,
    }
}

/// A keeper and what it tells.
struct Kept {
    keeper: Keeper,
    told: Receiver<Standing>,
}

impl Kept {
    fn start(settings: &Kubernetes) -> Kept {
        let (sender, told) = channel();
        let instance = || Some(INSTANCE.to_owned());
        let keeper = Keeper::start(settings, false, instance, move |standing| drop(sender.send(standing)));
        Kept { keeper, told }
    }

    fn next(&self) -> Standing {
        self.told.recv_timeout(PATIENCE).expect("the keeper tells something")
    }

    fn api(&self) -> Arc<Api> {
        self.keeper.api().expect("an API")
    }
}

/// A node of the cluster with a keeper that is ready.
fn ready(cluster: &Cluster, purpose: &str) -> (TestNode, Folder, Kept) {
    let (node, folder) = (cluster.make_node(purpose, INSTANCE), Folder::new(purpose));
    let kept = Kept::start(&settings(&Kubeconfigs::new(cluster, &node.name, folder.path()).combined()));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name.clone(), doubt: None });
    (node, folder, kept)
}

fn id(node: &TestNode, name: &str, uid: &str) -> PodId {
    PodId { namespace: node.namespace.clone(), name: name.to_owned(), uid: uid.to_owned() }
}

fn refused(answer: Answer, status: u16) -> Refusal {
    match answer {
        Answer::Refused(refusal) if refusal.status == status => refusal,
        other => panic!("{status} was expected: {other:?}"),
    }
}

#[test]
fn one_patch_cordons_the_node_and_another_undoes_it() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "patch");
    let api = kept.api();
    assert_eq!(api.node_name(), node.name);
    let all = NodePatch {
        cordon: Some(true),
        exclude: Some(true),
        annotation: Some(Annotation::Set("{\"id\":\"1\"}".into())),
    };
    let seen = api.patch_node(&all).unwrap();
    assert!(seen.cordoned && seen.excluded && seen.response.as_deref() == Some("{\"id\":\"1\"}"), "{seen:?}");
    assert_eq!(api.read_node().unwrap().response, seen.response);
    let none = NodePatch { cordon: Some(false), exclude: Some(false), annotation: Some(Annotation::Removed) };
    let seen = api.patch_node(&none).unwrap();
    assert!(!seen.cordoned && !seen.excluded && seen.response.is_none(), "{seen:?}");
}

#[test]
fn the_condition_and_the_event_are_on_the_node() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "tell");
    let since = Timestamp::now();
    let condition = Condition { notice: true, reason: "SpotInterruption".into(), message: "m".into(), since };
    assert_eq!(kept.api().set_condition(&condition), Answer::Accepted);
    let conditions = cluster.node(&node)["status"]["conditions"].as_array().unwrap().clone();
    assert!(conditions.iter().any(|c| c["type"] == "Ready"), "{conditions:?}");
    assert!(conditions.iter().any(|c| c["type"] == "TerminationNotice" && c["status"] == "True"), "{conditions:?}");
    let event = NodeEvent {
        reason: "SpotInterruption".into(),
        message: "m".into(),
        warning: true,
        at: since,
        labels: Vec::new(),
    };
    assert_eq!(kept.api().create_event(&event), Answer::Accepted);
    assert_eq!(kept.api().create_event(&event), Answer::Accepted);
    assert_eq!(cluster.events(&node).iter().filter(|e| e["reason"] == "SpotInterruption").count(), 2);
}

#[test]
fn a_pod_is_asked_by_its_uid_and_what_is_refused_comes_back_as_it_is() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "ask");
    let api = kept.api();
    let pods = ["web-0", "free-0", "free-1"].map(PodSpec::new);
    let uids = cluster.make_pods(&node, &pods);
    cluster.make_budget(&node, "web", "web", 1, 1);
    let grace = |name: &str| cluster.pod(&node, name).unwrap()["metadata"]["deletionGracePeriodSeconds"].clone();
    let budget = refused(api.evict(&id(&node, "web-0", &uids[0]), None), 429);
    assert_eq!(budget.causes, ["DisruptionBudget"]);
    refused(api.evict(&id(&node, "free-0", "another"), None), 409);
    assert_eq!(api.evict(&id(&node, "free-0", &uids[1]), None), Answer::Accepted);
    assert_eq!(grace("free-0"), 30);
    assert_eq!(api.evict(&id(&node, "free-1", &uids[2]), Some(Duration::from_millis(7900))), Answer::Accepted);
    assert_eq!(grace("free-1"), 7);
    refused(api.mark_disrupted(&id(&node, "web-0", "another")), 422);
    assert_eq!(api.mark_disrupted(&id(&node, "web-0", &uids[0])), Answer::Accepted);
    let conditions = cluster.pod(&node, "web-0").unwrap()["status"]["conditions"].clone();
    assert!(conditions.as_array().unwrap().iter().any(|c| c["type"] == "DisruptionTarget"), "{conditions}");
    refused(api.delete(&id(&node, "web-0", "another"), Duration::from_secs(5)), 409);
    assert_eq!(api.delete(&id(&node, "web-0", &uids[0]), Duration::from_secs(5)), Answer::Accepted);
    assert_eq!(grace("web-0"), 5);
    refused(api.evict(&id(&node, "gone-0", "none"), None), 404);
}

#[test]
fn a_dry_run_changes_nothing() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "dry");
    let uid = cluster.make_pod(&node, &PodSpec::new("web-0"));
    let client = Client::new(kept.api().link());
    let dry = Api::new(client, node.name.clone(), true);
    let patch = NodePatch { cordon: Some(true), ..NodePatch::default() };
    assert!(dry.patch_node(&patch).unwrap().cordoned);
    assert_eq!(dry.evict(&id(&node, "web-0", &uid), None), Answer::Accepted);
    assert_eq!(dry.delete(&id(&node, "web-0", &uid), Duration::from_secs(1)), Answer::Accepted);
    assert!(!kept.api().read_node().unwrap().cordoned);
    assert!(cluster.pod(&node, "web-0").unwrap()["metadata"].get("deletionTimestamp").is_none());
}

/// Follows the node's pods in a thread of its own; what is told is written into words.
fn follow(api: Arc<Api>) -> (Arc<Mutex<Vec<String>>>, thread::JoinHandle<WatchEnd>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let words = told.clone();
    let thread = thread::spawn(move || {
        api.watch_pods(&mut |news| {
            let mut words = words.lock().unwrap();
            match news {
                PodNews::Seen(pod) if !pod.stopping => words.push(format!("seen {}", pod.id.name)),
                PodNews::Seen(_) => (),
                PodNews::Gone(pod) => {
                    words.push(format!("gone {}{}", pod.id.name, if pod.cut { " cut" } else { "" }));
                }
                PodNews::Synced => words.push("synced".to_owned()),
                PodNews::Quiet => return !words.iter().any(|word| word == "end"),
            }
            true
        })
    });
    (told, thread)
}

fn watches_pods(cluster: &Cluster, purpose: &str) {
    let (node, _folder, kept) = ready(cluster, purpose);
    let _kubelet = Kubelet::start(cluster, &node);
    let uids = cluster.make_pods(&node, &[PodSpec::new("web-0"), PodSpec::new("web-1").stops_in(60.0)]);
    let (told, thread) = follow(kept.api());
    let has = |word: &str| told.lock().unwrap().iter().any(|w| w == word).then_some(());
    wait::expect("synced", PATIENCE, || has("synced"));
    {
        let mut first: Vec<String> = told.lock().unwrap().clone();
        first.dedup();
        assert_eq!(first, ["seen web-0", "seen web-1", "synced"]);
    }
    cluster.make_pod(&node, &PodSpec::new("late-0"));
    wait::expect("a pod that comes later", PATIENCE, || has("seen late-0"));
    assert_eq!(kept.api().evict(&id(&node, "web-0", &uids[0]), None), Answer::Accepted);
    wait::expect("the end of a pod", PATIENCE, || has("gone web-0"));
    assert_eq!(kept.api().evict(&id(&node, "web-1", &uids[1]), Some(Duration::from_secs(1))), Answer::Accepted);
    wait::expect("the end of a pod that is cut", PATIENCE, || has("gone web-1 cut"));
    told.lock().unwrap().push("end".to_owned());
    let asked = Instant::now();
    assert_eq!(thread.join().unwrap(), WatchEnd::Ended);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[test]
fn a_watch_tells_of_every_pod_and_ends_when_told_to() {
    watches_pods(&Cluster::for_test(), "watch");
}

#[test]
fn a_watch_works_without_streamed_lists() {
    let cluster = Cluster::stand_in();
    cluster.api().unwrap().switch(|s| s.streamed_lists = false);
    watches_pods(&cluster, "old-watch");
}

#[test]
fn a_list_of_several_pages_is_told_whole() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "pages");
    cluster.make_pods(&node, &PodSpec::many("web", 60));
    kept.api().link().lists_are_not_streamed.store(true, Ordering::Relaxed);
    let mut seen = BTreeSet::new();
    let end = kept.api().watch_pods(&mut |news| match news {
        PodNews::Seen(pod) => seen.insert(pod.id.uid),
        news => news != PodNews::Synced,
    });
    assert_eq!((end, seen.len()), (WatchEnd::Ended, 60));
}

#[test]
fn the_watch_of_the_node_shows_its_volumes() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "volumes");
    let mut shown = Vec::new();
    let mut asked = false;
    let end = kept.api().watch_node(&mut |seen| {
        if let Some(seen) = seen {
            shown.push(seen.volumes);
        }
        if !asked {
            asked = true;
            let status = json!({"status": {"volumesInUse": ["ebs^vol-1"],
                "volumesAttached": [{"name": "ebs^vol-1", "devicePath": ""}]}});
            cluster
                .admin
                .patch(&format!("/api/v1/nodes/{}/status", node.name), stand_ins::client::STRATEGIC, &status)
                .ok();
        }
        shown.len() < 2
    });
    assert_eq!((end, shown), (WatchEnd::Ended, vec![vec![], vec!["ebs^vol-1".to_owned()]]));
}

#[test]
fn taints_are_added_to_those_that_are_there_and_a_kubelet_may_not() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "taint");
    let taint = |key: &str| Taint { key: key.into(), value: "v".into(), effect: "NoSchedule".into() };
    let before = kept.api().read_node().unwrap();
    refused(kept.api().add_taints(&before, &[taint("a")]), 403);
    let admin = Folder::new("admin");
    let authority = cluster.authority();
    let identity = authority.client("admin", "system:masters", Duration::from_secs(3600));
    let config = format!(
        "current-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         clusters: [{{name: a, cluster: {{server: '{}', certificate-authority: ca}}}}]\n\
         users: [{{name: a, user: {{client-certificate: crt, client-key: key}}}}]\n",
        cluster.server()
    );
    for (name, text) in [
        ("config", &config),
        ("ca", &authority.certificate_pem),
        ("crt", &identity.certificate_pem),
        ("key", &identity.key_pem),
    ] {
        fs::write(admin.path().join(name), text).unwrap();
    }
    let config = admin.path().join("config");
    let unnamed = Kept::start(&settings(&config));
    assert!(matches!(unnamed.next(), Standing::Unready(text) if text.contains("kubernetes.node-name")));
    let named = Kept::start(&Kubernetes { node_name: Some(node.name.clone()), ..settings(&config) });
    assert_eq!(named.next(), Standing::Ready { node_name: node.name.clone(), doubt: None });
    let keys = |node: &Node| {
        // A real cluster adds some of its own.
        node.taints.iter().map(|t| t.key.clone()).filter(|key| !key.contains('/')).collect::<Vec<_>>()
    };
    // None are known, and there are none; none are known, and by now there are some.
    let unknown = Node::default();
    cluster.patch_node(&node, &json!({"spec": {"taints": null}}));
    assert_eq!(named.api().add_taints(&unknown, &[taint("a")]), Answer::Accepted);
    assert_eq!(named.api().add_taints(&unknown, &[taint("b")]), Answer::Accepted);
    let known = named.api().read_node().unwrap();
    assert_eq!(keys(&known), ["a", "b"]);
    assert_eq!(named.api().add_taints(&known, &[taint("b"), taint("c")]), Answer::Accepted);
    // Some are known, and by now there are none.
    cluster.patch_node(&node, &json!({"spec": {"taints": null}}));
    assert_eq!(named.api().add_taints(&known, &[taint("d")]), Answer::Accepted);
    assert_eq!(keys(&named.api().read_node().unwrap()), ["d"]);
}

#[test]
fn a_node_of_another_instance_is_left_alone() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("other", "i-other"), Folder::new("other"));
    let kept = Kept::start(&settings(&Kubeconfigs::new(&cluster, &node.name, folder.path()).inline()));
    assert!(matches!(kept.next(), Standing::None(text) if text.contains("i-other") && text.contains(INSTANCE)));
    assert!(kept.keeper.api().is_none());
}

#[test]
fn a_node_is_given_up_when_the_instance_turns_out_to_be_another() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("later", "i-other"), Folder::new("later"));
    let kubeconfig = Kubeconfigs::new(&cluster, &node.name, folder.path()).inline();
    let (sender, told) = channel();
    let known = Arc::new(Mutex::new(None));
    let instance = known.clone();
    let keeper = Keeper::start(
        &settings(&kubeconfig),
        false,
        move || instance.lock().unwrap().clone(),
        move |standing| drop(sender.send(standing)),
    );
    let kept = Kept { keeper, told };
    // Where nobody says which instance this is, its node is taken for it after a while.
    assert!(kept.told.recv_timeout(Duration::from_secs(2)).is_err());
    assert!(kept.keeper.api().is_none());
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name, doubt: None });
    *known.lock().unwrap() = Some(INSTANCE.to_owned());
    assert!(matches!(kept.next(), Standing::None(_)));
    assert!(kept.keeper.api().is_none());
}

#[test]
fn a_kubeconfig_that_appears_later_is_found() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("late", INSTANCE), Folder::new("late"));
    let place = folder.path().join("there");
    let auto = Kept::start(&settings(&place));
    assert!(matches!(auto.next(), Standing::None(_)));
    let required = Kept::start(&Kubernetes { mode: Mode::Required, ..settings(&place) });
    assert!(matches!(required.next(), Standing::Unready(_)));
    let kubeconfig = Kubeconfigs::new(&cluster, &node.name, folder.path()).inline();
    fs::write(&place, "half a").unwrap();
    assert!(matches!(auto.next(), Standing::Unready(_)));
    fs::rename(kubeconfig, &place).unwrap();
    for kept in [auto, required] {
        let ready = Standing::Ready { node_name: node.name.clone(), doubt: None };
        wait::expect("ready", PATIENCE, || kept.told.try_iter().find(|standing| *standing == ready));
    }
}

#[test]
fn a_keeper_that_is_over_tells_nothing_more_of_what_it_still_tried() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("over", INSTANCE), Folder::new("over"));
    let faults = Faults::before(cluster.server());
    let configs = Kubeconfigs::new(&cluster, &node.name, folder.path()).through(&faults.server());
    faults.hang();
    let kept = Kept::start(&settings(&configs.combined()));
    wait::expect("it tries", PATIENCE, || (faults.accepted() > 0).then_some(()));
    drop(kept.keeper);
    assert_eq!(kept.told.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_rotated_certificate_is_taken_up_and_half_of_one_is_not() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("rotate", INSTANCE), Folder::new("rotate"));
    let configs = Kubeconfigs::new(&cluster, &node.name, folder.path());
    let kept = Kept::start(&settings(&configs.combined()));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name.clone(), doubt: None });
    let number = kept.api().link().hold().number;
    let mut mixed = cluster.identity_of(&node.name);
    mixed.key_pem = cluster.identity_of(&node.name).key_pem;
    configs.rotate(&mixed);
    assert!(kept.api().link().refresh().trouble.is_some());
    assert_eq!(kept.api().link().hold().number, number);
    assert!(kept.api().read_node().is_ok());
    configs.rotate(&cluster.identity_of(&node.name));
    wait::expect("new keys", PATIENCE, || (kept.api().link().hold().number > number).then_some(()));
    assert!(kept.api().read_node().is_ok());
    let ready = Standing::Ready { node_name: node.name, doubt: None };
    wait::expect("no more doubt", PATIENCE, || {
        kept.told.try_iter().last().is_none_or(|last| last == ready).then_some(())
    });
}

#[test]
fn a_certificate_that_the_server_refuses_is_given_up_for_the_next() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("expire", INSTANCE), Folder::new("expire"));
    let configs = Kubeconfigs::new(&cluster, &node.name, folder.path());
    let kubeconfig = configs.combined();
    let user = format!("system:node:{}", node.name);
    configs.rotate(&Authority::new("another").client(&user, "system:nodes", Duration::from_secs(60)));
    let kept = Kept::start(&settings(&kubeconfig));
    let first = kept.next();
    assert!(matches!(&first, Standing::Unready(text) if text.contains("401")), "{first:?}");
    configs.rotate(&cluster.identity_of(&node.name));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name, doubt: None });
}

#[test]
fn an_exec_plugin_of_either_version_is_run_once_and_its_answer_kept() {
    let cluster = Cluster::for_test();
    for version in [V1, V1BETA1] {
        let (node, folder) = (cluster.make_node("exec", INSTANCE), Folder::new("exec"));
        let configs = Kubeconfigs::new(&cluster, &node.name, folder.path());
        let kept = Kept::start(&settings(&configs.exec_plugin(version, Duration::from_secs(840))));
        assert_eq!(kept.next(), Standing::Ready { node_name: node.name, doubt: None });
        assert!((0..20).all(|_| kept.api().read_node().is_ok()));
        assert_eq!(configs.plugin_runs(), 1);
    }
}

#[test]
fn a_token_file_is_read_again_and_beats_nothing_older() {
    let cluster = Cluster::stand_in();
    let (node, folder) = (cluster.make_node("token", INSTANCE), Folder::new("token"));
    let server = cluster.api().unwrap();
    let user = || User::new(&format!("system:node:{}", node.name), &["system:nodes", "system:authenticated"]);
    server.accept_token("one", user());
    let (kubeconfig, file) = Kubeconfigs::new(&cluster, &node.name, folder.path()).token_file("one\n");
    let kept = Kept::start(&settings(&kubeconfig));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name.clone(), doubt: None });
    server.revoke_token("one");
    server.accept_token("another", user());
    fs::write(file, "another").unwrap();
    assert!(kept.api().read_node().is_ok(), "a 401 has the file read again at once");
}

#[test]
fn a_refused_token_has_the_plugin_run_once_more_but_not_for_every_request() {
    let cluster = Cluster::stand_in();
    let (node, folder) = (cluster.make_node("refused", INSTANCE), Folder::new("refused"));
    let server = cluster.api().unwrap();
    server
        .accept_token("t", User::new(&format!("system:node:{}", node.name), &["system:nodes", "system:authenticated"]));
    let configs = Kubeconfigs::new(&cluster, &node.name, folder.path());
    let kept = Kept::start(&settings(&configs.exec_plugin_with_token(V1, "t")));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name, doubt: None });
    server.revoke_token("t");
    for _ in 0..5 {
        let refusal = refused(kept.api().read_node().unwrap_err(), 401);
        assert!(!refusal.message.contains('t') || refusal.message == "Unauthorized");
    }
    assert!(configs.plugin_runs() <= 2, "{}", configs.plugin_runs());
}

#[test]
fn connections_that_died_are_replaced_without_anybody_noticing() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("cut", INSTANCE), Folder::new("cut"));
    let faults = Faults::before(cluster.server());
    let configs = Kubeconfigs::new(&cluster, &node.name, folder.path()).through(&faults.server());
    let kept = Kept::start(&settings(&configs.inline()));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name, doubt: None });
    let api = kept.api();
    for _ in 0..5 {
        thread::scope(|scope| (0..8).for_each(|_| assert!(scope.spawn(|| api.read_node()).join().unwrap().is_ok())));
        faults.reset();
    }
}

#[test]
fn what_hangs_is_left_behind_by_a_fresh_attempt() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("hang", INSTANCE), Folder::new("hang"));
    let faults = Faults::before(cluster.server());
    let configs = Kubeconfigs::new(&cluster, &node.name, folder.path()).through(&faults.server());
    let kept = Kept::start(&settings(&configs.inline()));
    assert_eq!(kept.next(), Standing::Ready { node_name: node.name, doubt: None });
    let api = kept.api();
    faults.refuse();
    assert!(matches!(api.read_node(), Err(Answer::Nothing(_))));
    faults.hang();
    let began = Instant::now();
    assert!(matches!(api.afresh().read_node(), Err(Answer::Nothing(_))));
    assert!(began.elapsed() < Duration::from_secs(5), "no handshake within 3 s: {:?}", began.elapsed());
    faults.heal();
    assert!(api.afresh().read_node().is_ok());
}

#[test]
fn the_requests_are_those_that_a_kubelet_may_send() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "audit");
    kept.api().read_node().unwrap();
    kept.api().watch_pods(&mut |news| news != PodNews::Synced);
    let all = wait::expect("the audit log", PATIENCE, || {
        let all = cluster.audit_of(&node);
        (all.len() >= 4).then_some(all)
    });
    let what: Vec<String> = all.iter().map(|request| format!("{} {}", request.what(), request.code)).collect();
    // The watch is there when the server has noticed its end.
    // To know its node, to see how far away the server is, and what was asked for here.
    assert_eq!(what[..4], ["create selfsubjectreviews 201", "get nodes 200", "get nodes 200", "get nodes 200"]);
    assert!(what[4..].iter().all(|request| request == "watch pods 200"), "{what:?}");
}

#[test]
fn a_burst_of_evictions_from_many_threads_is_told_to_its_last_pod() {
    let cluster = Cluster::for_test();
    let (node, _folder, kept) = ready(&cluster, "burst");
    let _kubelet = Kubelet::start(&cluster, &node);
    let pods = PodSpec::many("web", 110);
    let uids = cluster.make_pods(&node, &pods);
    let (told, thread) = follow(kept.api());
    wait::expect("synced", PATIENCE, || told.lock().unwrap().iter().any(|word| word == "synced").then_some(()));
    let todo: Mutex<Vec<PodId>> =
        Mutex::new(pods.iter().zip(&uids).map(|(pod, uid)| id(&node, &pod.name, uid)).collect());
    let next = || todo.lock().unwrap().pop();
    let (api, began) = (kept.api(), Instant::now());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(pod) = next() {
                    assert_eq!(api.evict(&pod, None), Answer::Accepted);
                }
            });
        }
    });
    println!("all asked in {:?}", began.elapsed());
    let gone = || told.lock().unwrap().iter().filter(|word| word.starts_with("gone")).count();
    let all = wait::wait(PATIENCE, || (gone() == 110).then_some(()));
    assert!(all.is_some(), "{} told, {} still there", gone(), cluster.pods(&node).len());
    told.lock().unwrap().push("end".to_owned());
    assert_eq!(thread.join().unwrap(), WatchEnd::Ended);
}

#[test]
fn the_certificate_names_the_node_where_the_server_does_not() {
    let cluster = Cluster::stand_in();
    cluster.api().unwrap().switch(|s| s.self_subject_review = false);
    ready(&cluster, "named");
}

#[test]
fn the_servers_name_and_its_authority_are_what_the_kubeconfig_says() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("names", INSTANCE), Folder::new("names"));
    let right = fs::read_to_string(Kubeconfigs::new(&cluster, &node.name, folder.path()).combined()).unwrap();
    let with = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Kept::start(&settings(&path)).next()
    };
    let ready = Standing::Ready { node_name: node.name.clone(), doubt: None };
    let add = |line: &str| right.replacen("    server:", &format!("    {line}\n    server:"), 1);
    assert_eq!(with("localhost", add("tls-server-name: localhost")), ready);
    let wrong = with("wrong-name", add("tls-server-name: elsewhere"));
    assert!(matches!(&wrong, Standing::Unready(text) if text.contains("elsewhere")), "{wrong:?}");
    fs::write(folder.path().join("another.crt"), Authority::new("another").certificate_pem).unwrap();
    let stranger = right.replace("ca.crt", "another.crt");
    let wrong = with("stranger", stranger.clone());
    assert!(matches!(&wrong, Standing::Unready(text) if text.contains("certificate")), "{wrong:?}");
    let trusting = stranger.replacen("    server:", "    insecure-skip-tls-verify: true\n    server:", 1);
    assert_eq!(with("trusting", trusting), ready);
    fs::write(folder.path().join("another.crt"), "").unwrap();
    let wrong = with("empty", stranger);
    assert!(matches!(&wrong, Standing::Unready(text) if text.contains("another.crt: there is no PEM")), "{wrong:?}");
}

/// A proxy that opens tunnels; gives its address, and the lines of all requests.
fn tunnels() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, lines) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let seen = lines.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut from = BufReader::new(client.try_clone().unwrap());
            let mut request: Vec<String> =
                from.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let target = request[0].split(' ').nth(1).unwrap().to_owned();
            seen.lock().unwrap().append(&mut request);
            let mut server = TcpStream::connect(target).unwrap();
            let (mut back, mut to) = (server.try_clone().unwrap(), client);
            to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            thread::spawn(move || io::copy(&mut from, &mut server));
            thread::spawn(move || io::copy(&mut back, &mut to));
        }
    });
    (address, lines)
}

#[test]
fn the_kubeconfigs_proxy_and_the_configured_one_are_gone_through() {
    let cluster = Cluster::for_test();
    let (node, folder) = (cluster.make_node("proxy", INSTANCE), Folder::new("proxy"));
    let config = Kubeconfigs::new(&cluster, &node.name, folder.path()).inline();
    let ready = Standing::Ready { node_name: node.name.clone(), doubt: None };
    let (address, lines) = tunnels();
    let configured = Kubernetes { proxy: Some(format!("http://user:word@{address}")), ..settings(&config) };
    assert_eq!(Kept::start(&configured).next(), ready);
    let tunnel = format!("CONNECT {} HTTP/1.1", cluster.server().trim_start_matches("https://"));
    assert!(lines.lock().unwrap().contains(&tunnel), "{lines:?}");
    assert!(lines.lock().unwrap().iter().any(|line| line.starts_with("Proxy-Authorization: Basic ")));
    lines.lock().unwrap().clear();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("    server:", &format!("    proxy-url: {address}\n    server:"), 1)).unwrap();
    assert_eq!(Kept::start(&settings(&config)).next(), ready);
    assert!(lines.lock().unwrap().contains(&tunnel), "{lines:?}");
    let socks = Kubernetes { proxy: Some("socks5://user:sesame@proxy".to_owned()), ..settings(&config) };
    assert!(
        matches!(Kept::start(&socks).next(), Standing::Unready(text) if text.contains("http://[") && !text.contains("sesame"))
    );
}
