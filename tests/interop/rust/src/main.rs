//! Calls the crate etsi014-client as its users would, and prints what it returns: one `name=value` a line, keys as `ID=hexadecimal`.
//!
//! Usage: etsi014-driver HOST PORT CERT KEY CA SAE status | get BITS NUMBER | get-by-ids ID...
//! An error of the client goes to standard error, with exit code 1.

use etsi014_client::{ETSI014Client, Error, SecretVec};
use std::path::PathBuf;
use std::process::ExitCode;

fn print_keys(keys: Vec<(String, SecretVec<u8>)>) {
    for (id, key) in keys {
        let hex: String = key.borrow().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{id}={hex}");
    }
}

async fn run(words: &[String]) -> Result<(), Error> {
    let [host, port, cert, key, ca, sae, command, rest @ ..] = words else {
        panic!("too few arguments");
    };
    let port = port.parse().expect("a port");
    let client = ETSI014Client::new(host, port, &PathBuf::from(cert), &PathBuf::from(key), &PathBuf::from(ca))?;
    match command.as_str() {
        "status" => {
            let status = client.get_status(sae).await?;
            println!("source_KME_ID={}", status.source_kme_id);
            println!("target_KME_ID={}", status.target_kme_id);
            println!("master_SAE_ID={}", status.source_sae_id);
            println!("slave_SAE_ID={}", status.target_sae_id);
            println!("key_size={}", status.key_size);
            println!("stored_key_count={}", status.stored_key_count);
        }
        "get" => {
            let bits = rest[0].parse().expect("a size in bits");
            let number = rest[1].parse().expect("a number of keys");
            print_keys(client.get_keys(bits, sae, &[], number).await?);
        }
        "get-by-ids" => {
            let ids: Vec<&str> = rest.iter().map(String::as_str).collect();
            print_keys(client.get_keys_by_ids(sae, &ids).await?);
        }
        other => panic!("unknown command {other}"),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}
