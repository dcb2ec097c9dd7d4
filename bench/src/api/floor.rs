//! The floor of the API: axum, one append, one insert, and one select for a page. No validation, no
//! ids of clients, no metrics, no deadlines.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use chat4all_process::{Clock, Random};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::embedded_floor::Embedded;
use super::servers_floor::Servers;
use crate::Failure;

/// Where it listens, and what it stands on.
#[derive(Args)]
pub(crate) struct ServeFloorArgs {
    #[arg(long)]
    listen: std::net::SocketAddr,
    /// SQLite files go here
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long, requires = "cassandra", conflicts_with = "folder")]
    kafka: Option<String>,
    #[arg(long)]
    cassandra: Option<String>,
}

/// A message, as it is appended, inserted and shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Row {
    #[serde(default)]
    pub(crate) message_id: String,
    #[serde(default)]
    pub(crate) accepted_at: i64,
    pub(crate) conversation_id: String,
    pub(crate) receiver_id: String,
    pub(crate) content: String,
}

#[derive(Serialize)]
struct Accepted {
    message_id: String,
    conversation_id: String,
    status: &'static str,
}

#[derive(Deserialize)]
struct Asked {
    limit: usize,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Page {
    messages: Vec<Row>,
    next_cursor: Option<String>,
}

/// What is appended to and inserted into.
enum Backing {
    Embedded(Embedded),
    Servers(Box<Servers>),
}

struct Floor {
    backing: Backing,
    clock: Clock,
    random: Random,
}

/// Serves until the process is killed.
pub(crate) async fn serve(args: &ServeFloorArgs) -> Result<(), Failure> {
    let backing = match (&args.folder, &args.kafka, &args.cassandra) {
        (Some(folder), ..) => Backing::Embedded(Embedded::open(folder)?),
        (None, Some(kafka), Some(cassandra)) => {
            Backing::Servers(Box::new(Servers::connect(kafka, cassandra).await?))
        }
        _ => return Err("say --folder, or --kafka and --cassandra".into()),
    };
    let floor = Floor { backing, clock: Clock::system(), random: Random::system() };
    let router = Router::new()
        .route("/ready", get(async || "ready"))
        .route("/v1/messages", post(accept))
        .route("/v1/conversations/{conversation}/messages", get(page))
        .with_state(Arc::new(floor));
    let listener = TcpListener::bind(args.listen).await?;
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|stream| {
        // Without it an answer is late, and no request is refused.
        let _answers_are_late = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

fn failed(error: Failure) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn accept(
    State(floor): State<Arc<Floor>>,
    Json(mut row): Json<Row>,
) -> Result<(StatusCode, Json<Accepted>), (StatusCode, String)> {
    let now = floor.clock.now();
    row.message_id = floor.random.message_id(now).to_string();
    row.accepted_at = i64::try_from(now.as_ms()).unwrap_or(i64::MAX);
    let accepted = Accepted {
        message_id: row.message_id.clone(),
        conversation_id: row.conversation_id.clone(),
        status: "ACCEPTED",
    };
    let kept = match &floor.backing {
        Backing::Embedded(embedded) => embedded.append_and_insert(row).await,
        Backing::Servers(servers) => servers.append_and_insert(row).await,
    };
    kept.map_err(failed)?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

async fn page(
    State(floor): State<Arc<Floor>>,
    Path(conversation): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Json<Page>, (StatusCode, String)> {
    let place = asked.cursor.as_deref().and_then(|cursor| cursor.split_once('_'));
    let before = match place {
        Some((at, id)) => (at.parse().map_err(|_| failed("a cursor".into()))?, id.to_owned()),
        None => (i64::MAX, String::new()),
    };
    let rows = match &floor.backing {
        Backing::Embedded(embedded) => embedded.page(conversation, before, asked.limit + 1).await,
        Backing::Servers(servers) => servers.page(conversation, before, asked.limit + 1).await,
    };
    let mut messages = rows.map_err(failed)?;
    let is_last = messages.len() <= asked.limit;
    messages.truncate(asked.limit);
    let last = messages.last().filter(|_| !is_last);
    let next_cursor = last.map(|row| format!("{}_{}", row.accepted_at, row.message_id));
    Ok(Json(Page { messages, next_cursor }))
}
