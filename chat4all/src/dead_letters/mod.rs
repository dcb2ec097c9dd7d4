//! `chat4all dead-letters`: what was given up, for an operator, over the API.

mod act;
mod args;
mod list;
mod show;

use chat4all_process::Failure;

use args::DeadLettersCommand;
pub(crate) use args::{AuditArgs, DeadLettersArgs};
pub(crate) use list::audit;

pub(crate) async fn run(args: &DeadLettersArgs) -> Result<u8, Failure> {
    match &args.command {
        DeadLettersCommand::List(list) => list::list(list).await,
        DeadLettersCommand::Show(show) => show::show(show).await,
        DeadLettersCommand::Redrive(redrive) => {
            act::act(act::Action::Redrive, &redrive.act, redrive.expires_in).await
        }
        DeadLettersCommand::Discard(discard) => {
            act::act(act::Action::Discard, &discard.act, None).await
        }
    }
}
