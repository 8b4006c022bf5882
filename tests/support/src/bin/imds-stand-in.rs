//! The metadata service's stand-in as a program of its own, for network namespaces and containers.
//!
//! `imds-stand-in --listen ADDRESS:PORT --items FOLDER`: each file under FOLDER is an item
//! (`FOLDER/meta-data/spot/instance-action`) and `FOLDER/fault` a fault (`status 503`, `hang`, `reset`, `html`,
//! `big BYTES`, `slow MILLISECONDS`); both are read again at each request. Each request is printed when answered.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use stand_ins::imds::Imds;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().skip_while(|a| *a != name).nth(1).cloned();
    let (Some(listen), Some(items)) = (value("--listen"), value("--items")) else {
        eprintln!("usage: imds-stand-in --listen ADDRESS:PORT --items FOLDER");
        return ExitCode::from(2);
    };
    let imds = match Imds::start(&listen) {
        Ok(imds) => imds,
        Err(error) => {
            eprintln!("cannot listen on {listen}: {error}");
            return ExitCode::FAILURE;
        }
    };
    imds.serve_folder(PathBuf::from(items));
    imds.echo();
    println!("listening on {} as {}", imds.address(), imds.instance_id());
    loop {
        std::thread::park();
    }
}
