//! The connector as an executable; everything but the platform is the kit's.

use std::process::ExitCode;

fn main() -> ExitCode {
    chat4all_connector_kit::service::main(chat4all_connector_whatsapp::ENTRY)
}
