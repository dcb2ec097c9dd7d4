//! A certificate authority of this stack alone, and a certificate for 127.0.0.1 that it signed.
//!
//! Made once by the JDK's keytool. The private keys and their password protect nothing: they are
//! for tests on this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::tools::{self, Java};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::wait::{Stopwatch, spoken};

/// The server's key and its chain, PKCS12.
pub const KEY_STORE: &str = "server.p12";
/// The authority's certificate, for clients.
pub const AUTHORITY: &str = "ca.pem";
/// The password of every key store here.
pub const STORE_PASSWORD: &str = "chat4all-test";

/// Makes the certificates if they are not there.
///
/// # Errors
/// If keytool fails, or the folder cannot be written.
pub fn make(folder: &Path, java: &Java, console: &mut Console<'_>) -> Outcome {
    if folder.is_dir() {
        return Ok(());
    }
    let watch = Stopwatch::start();
    let draft = folder.with_extension("draft");
    let cannot = |error| Failure::file(format!("cannot write {}", draft.display()), &error);
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(cannot)?;
    }
    fs::create_dir_all(&draft).map_err(cannot)?;
    for step in STEPS {
        let mut command = Command::new(&java.keytool);
        command.current_dir(&draft).args(step.split_whitespace());
        command.args(["-storepass", STORE_PASSWORD]);
        tools::run(&mut command, "tls", "making certificates", console)?;
    }
    fs::rename(&draft, folder).map_err(cannot)?;
    console.line("tls", &format!("certificates made in {}", spoken(watch.elapsed())))?;
    Ok(())
}

/// The authority, the server's key, its request, the signature, and the chain into the key store.
const STEPS: &[&str] = &[
    "-genkeypair -alias ca -keystore ca.p12 -storetype PKCS12 -keyalg EC -groupname secp256r1 \
     -dname CN=chat4all-stack-ca -validity 3650 -ext bc:c=ca:true -ext ku:c=keyCertSign",
    "-exportcert -rfc -alias ca -keystore ca.p12 -file ca.pem",
    "-genkeypair -alias server -keystore server.p12 -storetype PKCS12 -keyalg EC \
     -groupname secp256r1 -dname CN=localhost -validity 3650",
    "-certreq -alias server -keystore server.p12 -file server.csr",
    "-gencert -rfc -alias ca -keystore ca.p12 -infile server.csr -outfile server.pem \
     -validity 3650 -ext san=dns:localhost,ip:127.0.0.1 -ext eku=serverAuth",
    "-importcert -noprompt -alias ca -keystore server.p12 -file ca.pem",
    "-importcert -noprompt -alias server -keystore server.p12 -file server.pem",
];
