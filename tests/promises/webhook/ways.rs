//! Who is trusted, and by what way a webhook is reached.

use stand_ins::certificates::Authority;
use stand_ins::receiver::{ConnectProxy, Receiver};

use super::{PATH, Scene, put, wait_stages};
use crate::seconds;

#[test]
fn a_server_that_nobody_vouches_for_is_told_nothing_and_that_is_said() {
    let other = Authority::new("others");
    let scene = Scene::new();
    // An authority that did not sign it; the system's; one that did, for another name.
    let stranger = Receiver::start(&scene.authority, &["elsewhere.example.com"]);
    let rows = [
        (&scene.receiver, Some(&other), "its certificate is not from an authority that is trusted"),
        (&stranger, Some(&scene.authority), "its certificate is for another name"),
        (&scene.receiver, None, ""),
    ];
    for (receiver, authority, why) in rows {
        let scene = Scene::new();
        let setup = scene.setup();
        let ca_file =
            authority.map(|authority| put(&setup, "ca.pem", &authority.certificate_pem).display().to_string());
        let ca_file = ca_file.map(|path| format!("\nca-file = \"{path}\"")).unwrap_or_default();
        let guard = scene.start(setup.config(&format!("[webhook]\nurl = \"{}\"{ca_file}", super::url(receiver))));
        scene.imds.interrupt("terminate", seconds(8));
        guard.wait_line(&format!("webhook: notice not delivered: {why}"), seconds(20));
        let record = guard.wait_record("it is given up", seconds(30), |record| {
            record["webhook"].as_array().into_iter().flatten().filter(|one| one["reason"].is_string()).count() == 2
        });
        assert!(record["errors"].to_string().contains("webhook: notice not delivered"), "{:#}", record["errors"]);
        assert!(receiver.arrivals().is_empty());
    }
}

#[test]
fn it_goes_through_the_proxy_of_the_settings_or_of_the_environment() {
    for configured in [true, false] {
        let scene = Scene::new();
        let proxy = ConnectProxy::before(&scene.receiver);
        let url = format!("http://me:pa55word@{}", proxy.address());
        let setup = scene.told_at(&format!("https://hooks.example.com/{PATH}"));
        let setup = if configured {
            // A proxy that is set counts whatever the environment says.
            setup.config(&format!("proxy = \"{url}\"")).environment("HTTPS_PROXY", "http://127.0.0.1:1")
        } else {
            setup.environment("HTTPS_PROXY", &url)
        };
        let guard = scene.start(setup);
        scene.imds.interrupt("terminate", seconds(30));
        wait_stages(&guard, &scene.receiver, &["notice", "end"]);
        let asked: Vec<(String, String)> =
            proxy.asked().into_iter().map(|request| (request.method, request.uri)).collect();
        let connect = ("CONNECT".to_owned(), "hooks.example.com:443".to_owned());
        assert_eq!(asked, [connect.clone(), connect], "and nothing of the metadata service");
        assert!(proxy.asked()[0].header("proxy-authorization").is_some());
    }
}

#[test]
fn it_goes_past_a_proxy_of_the_environment_where_no_proxy_names_it() {
    let scene = Scene::new();
    let proxy = ConnectProxy::before(&scene.receiver);
    let setup = scene.told_at(&format!("https://hooks.example.com/{PATH}"));
    let setup = setup.environment("HTTPS_PROXY", &format!("http://{}", proxy.address()));
    let guard = scene.start(setup.environment("NO_PROXY", ".example.com"));
    scene.imds.interrupt("terminate", seconds(8));
    guard.wait_line("webhook: notice not delivered: ", seconds(25));
    assert!(proxy.asked().is_empty() && scene.receiver.arrivals().is_empty());
}
