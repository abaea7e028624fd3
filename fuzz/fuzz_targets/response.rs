//! An answer of a hostile server's: whatever it is, models see something, and a description is held against it. The first
//! byte says which kind of answer it is, the second its status.
#![no_main]

use std::sync::LazyLock;

use gainsay::drive::history::Response;
use gainsay::model::openapi::OpenApi;
use libfuzzer_sys::fuzz_target;

static DESCRIBED: LazyLock<OpenApi> = LazyLock::new(|| {
    OpenApi::parse(include_str!("../notes.openapi.yaml")).expect("the description is sound")
});

const TYPES: [&str; 5] = [
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "text/html; charset=utf-8",
    "",
];

fuzz_target!(|bytes: &[u8]| {
    let [kind, status, body @ ..] = bytes else {
        return;
    };
    let kind = usize::from(*kind);
    let mut headers = vec![("content-type".to_owned(), TYPES[kind % TYPES.len()].to_owned())];
    if kind >= 128 {
        headers.push(("sec-websocket-accept".to_owned(), "yes".to_owned()));
    }
    let response = Response {
        status: 100 + u16::from(*status) * 2,
        headers,
        body: body.to_vec(),
        truncated: kind % 2 == 1,
    };
    response.value();
    response.texts();
    response.answer();
    DESCRIBED.mismatch(("GET", "/notes/{note}"), response.status, &response.body);
});
