//! The OpenAPI document, made from the code: routes and bodies from the handlers, refusals from the
//! table of error codes.

use axum::http::StatusCode;
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, Response, ResponseBuilder, Type,
};

use crate::error_code::ErrorCode::{self, *};
use crate::problem::PROBLEM_JSON;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Chat4All",
        description = "Send messages to people on many chat platforms, and learn what became of \
            each. Every refusal is application/problem+json with a stable code."
    ),
    paths(
        crate::send::send_message,
        crate::query::get_message,
        crate::query::list_messages,
        crate::open::list_open,
        crate::letters::list_dead_letters,
        crate::letters::get_dead_letter,
        crate::letters::redrive_dead_letters,
        crate::letters::discard_dead_letters,
        crate::letters::list_audit,
        crate::accounts::list_accounts,
        crate::accounts::pause,
        crate::accounts::resume,
        crate::accounts::close_breaker,
        crate::pages::error_page,
        crate::pages::openapi,
    ),
    components(schemas(crate::problem::ProblemBody, ErrorCode))
)]
struct Document;

/// What each operation may be refused with.
const SEND: &[ErrorCode] = &[
    MalformedJson,
    UnknownField,
    MissingField,
    InvalidField,
    ConflictingFields,
    InvalidReceiver,
    UnknownPlatform,
    UnknownAccount,
    IdOutOfTime,
    RequestTimeout,
    IdConflict,
    KeyConflict,
    ContentTooLong,
    BodyTooLarge,
    UnsupportedMediaType,
    Internal,
    Overloaded,
    Stopping,
    LogFull,
    LogUnavailable,
    OutcomeUnknown,
    StoreUnavailable,
];
const GET: &[ErrorCode] = &[InvalidField, MessageNotFound, Internal, Overloaded, StoreUnavailable];
const LIST: &[ErrorCode] =
    &[UnknownField, InvalidField, InvalidCursor, Internal, Overloaded, StoreUnavailable];
const LETTER: &[ErrorCode] =
    &[UnknownField, InvalidField, LetterNotFound, Internal, Overloaded, StoreUnavailable];
const COMMAND: &[ErrorCode] = &[
    MalformedJson,
    UnknownField,
    MissingField,
    InvalidField,
    ConflictingFields,
    InvalidCursor,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    Internal,
    Overloaded,
    Stopping,
    StoreUnavailable,
];

const ACCOUNTS: &[ErrorCode] = &[UnknownField, InvalidField, Overloaded, AccountsUnavailable];
const ORDER: &[ErrorCode] = &[
    MalformedJson,
    UnknownField,
    InvalidField,
    AccountNotFound,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedMediaType,
    Overloaded,
    Stopping,
    CommandUnknown,
];

/// The document as JSON.
pub(crate) fn document() -> Result<String, serde_json::Error> {
    let mut document = Document::openapi();
    let paths = &mut document.paths.paths;
    for (path, method, codes) in [
        ("/v1/messages", HttpMethod::Post, SEND),
        ("/v1/messages/{message_id}", HttpMethod::Get, GET),
        ("/v1/conversations/{conversation_id}/messages", HttpMethod::Get, LIST),
        ("/v1/open", HttpMethod::Get, LIST),
        ("/v1/dead-letters", HttpMethod::Get, LIST),
        ("/v1/dead-letters/{letter_id}", HttpMethod::Get, LETTER),
        ("/v1/dead-letters/redrive", HttpMethod::Post, COMMAND),
        ("/v1/dead-letters/discard", HttpMethod::Post, COMMAND),
        ("/v1/audit", HttpMethod::Get, LIST),
        ("/v1/accounts", HttpMethod::Get, ACCOUNTS),
        ("/v1/accounts/{platform}/{account}/pause", HttpMethod::Post, ORDER),
        ("/v1/accounts/{platform}/{account}/resume", HttpMethod::Post, ORDER),
        ("/v1/accounts/{platform}/{account}/close-breaker", HttpMethod::Post, ORDER),
        ("/errors/{code}", HttpMethod::Get, &[NotFound]),
    ] {
        let item = paths.get_mut(path);
        let operation = item.and_then(|item| match method {
            HttpMethod::Post => item.post.as_mut(),
            _ => item.get.as_mut(),
        });
        debug_assert!(operation.is_some(), "{path} is not documented");
        if let Some(operation) = operation {
            add_refusals(operation, codes);
        }
    }
    for (path, operation) in probes() {
        paths.insert(path.to_owned(), PathItem::new(HttpMethod::Get, operation));
    }
    document.to_json()
}

/// One response per status, its description listing the codes.
fn add_refusals(operation: &mut Operation, codes: &[ErrorCode]) {
    let mut statuses: Vec<StatusCode> = codes.iter().map(|code| code.status()).collect();
    statuses.sort();
    statuses.dedup();
    for status in statuses {
        let described: Vec<String> = codes
            .iter()
            .filter(|code| code.status() == status)
            .map(|code| format!("`{}`: {}", code.word(), code.meaning()))
            .collect();
        let response = refusal(status, described.join("\n\n"));
        operation.responses.responses.insert(status.as_str().to_owned(), response.into());
    }
}

fn refusal(status: StatusCode, description: String) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description).content(PROBLEM_JSON, problem);
    if status != StatusCode::SERVICE_UNAVAILABLE {
        return response.build();
    }
    let seconds = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer).build()))
        .description(Some("Repeat the request after this many seconds."));
    response.header("Retry-After", seconds.build()).build()
}

/// The routes that every service has; their handlers live with the probes.
fn probes() -> [(&'static str, Operation); 3] {
    let response = |description: &str, kind: &str, schema: Type| {
        let schema = ObjectBuilder::new().schema_type(schema).build();
        let content = ContentBuilder::new().schema(Some(schema)).build();
        ResponseBuilder::new().description(description).content(kind, content).build()
    };
    let json = "application/json";
    let operation = |id: &str, summary: &str| {
        OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)).tag("operations")
    };
    [
        (
            "/health",
            operation("health", "Whether the process works")
                .response("200", response("It works.", json, Type::Object))
                .response("503", response("A restart would help.", json, Type::Object))
                .build(),
        ),
        (
            "/ready",
            operation("ready", "Whether log and store answer")
                .response("200", response("They answer.", json, Type::Object))
                .response("503", response("The body names which does not.", json, Type::Object))
                .build(),
        ),
        (
            "/metrics",
            operation("metrics", "The metrics of the process, for Prometheus")
                .response("200", response("The metrics.", "text/plain", Type::String))
                .response("404", ResponseBuilder::new().description("No registry.").build())
                .build(),
        ),
    ]
}
