//! The shipped hooks that ask AWS, with the real AWS CLI, beside moto in AWS's place. The policies of
//! `docs/shipped-hooks.md` are enforced: each hook may do what its section allows, and no more.
#![forbid(unsafe_code)]

mod asg_detach;
mod asg_lifecycle;
mod elb_target_groups;
mod node;
mod stand_in;
mod upload;

use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A user who copies a hook wants one file: what asks AWS is in each of them, and the same.
#[test]
fn all_hooks_ask_aws_in_the_same_way() {
    let folder = root().join("packaging/hooks-available");
    let of = |hook: &str| {
        let text = std::fs::read_to_string(folder.join(hook)).unwrap();
        let (_, rest) = text.split_once("\nfail() {\n").unwrap();
        let end = rest.find("return 75 ;; esac\n}\n").unwrap();
        rest[..end].to_owned()
    };
    for hook in ["asg-lifecycle", "asg-detach", "upload"] {
        assert_eq!(of(hook), of("elb-target-groups"), "{hook}");
    }
}
