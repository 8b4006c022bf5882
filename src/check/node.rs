//! The own Node: whether it is there, and is this machine's.

use super::finding::Finding;
use crate::kubernetes::look::{is_another_instances, names_an_instance};

pub const NAME: &str = "node";

/// `found`: its name and provider id, or why there is none; `instance`: what the metadata service says this machine is.
pub fn verdict(found: &Result<(String, Option<String>), String>, instance: Option<&str>) -> Finding {
    let (name, provider_id) = match found {
        Ok((name, provider_id)) => (name, provider_id.as_deref()),
        Err(why) => {
            return Finding::failure(NAME, why.clone()).advise(
                "this machine's kubelet must be registered, and kubernetes.node-name, where set, its node's name",
            );
        }
    };
    let said = provider_id.unwrap_or("none");
    match instance {
        _ if !names_an_instance(provider_id) => Finding::ok(
            NAME,
            format!("{name}; its provider id ({said}) names no instance: taken for this one by its name"),
        ),
        None => Finding::warning(NAME, format!("{name}; not compared: which instance this is is not known"))
            .advise("see metadata service"),
        Some(id) if is_another_instances(provider_id, id) => {
            Finding::failure(NAME, format!("{name} is another instance's ({said}), this one is {id}: it is left alone"))
                .advise("is the kubeconfig, or the node's name, from the image that another machine was made into?")
        }
        Some(_) => Finding::ok(NAME, format!("{name} is this instance")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_node_that_names_another_instance_is_a_failure() {
        let node = |provider_id: Option<&str>| Ok(("n".to_owned(), provider_id.map(str::to_owned)));
        for (found, instance, result) in [
            (node(Some("aws:///eu-west-1a/i-1")), Some("i-1"), Verdict::Ok),
            (node(Some("aws:///eu-west-1a/i-1")), Some("i-2"), Verdict::Failure),
            (node(Some("aws:///eu-west-1a/i-1")), None, Verdict::Warning),
            (node(Some("k3s://n")), Some("i-2"), Verdict::Ok),
            (node(None), None, Verdict::Ok),
            (Err("403".to_owned()), Some("i-1"), Verdict::Failure),
        ] {
            assert_eq!(verdict(&found, instance).result, result, "{found:?} {instance:?}");
        }
    }
}
