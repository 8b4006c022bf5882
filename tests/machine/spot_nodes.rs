//! The user data of `packaging/cloudformation/spot-nodes.yaml`, run on a machine.

use std::collections::BTreeMap;

use serde_json::Value;
use spot_guard::kubernetes::read::{Yaml, yaml};

use crate::machine::plan;
use crate::template;

/// The parts of the user data by their type, once CloudFormation has put the parameters and `links` in place.
fn user_data(template: &Value, links: &str) -> BTreeMap<String, String> {
    let data = &template["Resources"]["SpotTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"][0];
    let mut text = data.as_str().unwrap().replace("${Links}", links);
    for (name, value) in [
        ("ClusterName", "apps"),
        ("ApiServerEndpoint", "https://0123.gr7.eu-west-1.eks.amazonaws.com"),
        ("CertificateAuthority", "LS0tLS1CRUdJTg=="),
        ("ServiceCidr", "10.100.0.0/16"),
    ] {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    assert!(!text.contains("${"), "{text}");
    let (parts, end) = text.rsplit_once("\n--BOUNDARY--\n").unwrap();
    assert_eq!(end, "");
    let part = |part: &str| {
        let (head, body) = part.split_once("\n\n").unwrap();
        let sort = head.strip_prefix("Content-Type: ").unwrap().split(';').next().unwrap();
        (sort.to_owned(), body.to_owned())
    };
    parts.split("\n--BOUNDARY\n").skip(1).map(part).collect()
}

#[test]
fn user_data_names_the_cluster_links_the_hook_and_enables_spot_guard() {
    let Some(plan) = plan() else { return };
    let machine = plan.boot();
    let template = template::read("spot-nodes.yaml");
    for (hook, links) in template["Mappings"]["Links"].as_object().unwrap() {
        machine.run(&["systemctl", "disable", "--now", "--quiet", "spot-guard"]);
        let parts = user_data(&template, links["Commands"].as_str().unwrap());
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["application/node.eks.aws", "text/x-shellscript"]);
        let cluster = yaml(&parts["application/node.eks.aws"]).unwrap().at("spec").at("cluster").clone();
        for (field, value) in
            [("name", "apps"), ("cidr", "10.100.0.0/16"), ("certificateAuthority", "LS0tLS1CRUdJTg==")]
        {
            assert_eq!(cluster.at(field), &Yaml::Text(value.to_owned()));
        }

        machine.run(&["sh", "-ec", &parts["text/x-shellscript"]]);
        machine.wait_for("the daemon", || machine.unit("ActiveState") == "active");
        assert_eq!(machine.unit("UnitFileState"), "enabled");
        for link in links["Commands"].as_str().unwrap().lines().map(|line| line.split(' ').next_back().unwrap()) {
            let hook = format!("/usr/lib/spot-guard/hooks-available/{hook}\n");
            assert_eq!(machine.says(&["readlink", "--canonicalize-existing", link]), hook, "{link}");
        }
        let check = machine.says(&["spot-guard", "check"]);
        let hooks = check.lines().find(|line| line.starts_with("hooks ")).unwrap_or_default();
        assert!(hooks.contains(" ok "), "{check}");
    }
}
