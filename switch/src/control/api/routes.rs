//! Which request asks for what? The table stands in [`crate::control::types`].

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{get, post, put};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::bodies::{self, answer, refuse};
use super::caches;
use super::clock;
use super::faults;
use super::frames;
use crate::control::types::{EndpointSpec, Hello, NetworkSpec};
use crate::control::{Fault, Switch};

/// What every request has at hand.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) switch: Switch,
    pub(super) stopped: Arc<watch::Receiver<bool>>,
}

/// The answer where there is nothing to tell.
#[derive(Serialize)]
struct Done {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    network: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    #[serde(default)]
    force: bool,
}

pub(super) type Name = Result<Path<String>, PathRejection>;
type TwoNames = Result<Path<(String, String)>, PathRejection>;
pub(super) type Question<T> = Result<Query<T>, QueryRejection>;

/// Every route, and a refusal for what is none.
pub(super) fn router(switch: Switch, stopped: &watch::Receiver<bool>) -> Router {
    let context = Context { switch, stopped: Arc::new(stopped.clone()) };
    Router::new()
        .route("/v1/ping", get(ping))
        .route("/v1/networks", get(networks).post(create))
        .route("/v1/networks/{name}", get(inspect).delete(remove).post(prune))
        .route("/v1/networks/{name}/peers/{other}", put(peer).delete(unpeer))
        .route("/v1/networks/{name}/endpoints", post(connect))
        .route("/v1/networks/{name}/endpoints/{endpoint}", axum::routing::delete(disconnect))
        .route("/v1/ports", get(ports))
        .route("/v1/mac", get(mac))
        .route("/v1/arp", get(arp))
        .route("/v1/drops", get(drops))
        .route("/v1/workers", get(workers))
        .route("/v1/caches", get(caches::caches))
        .route("/v1/caches/watch", get(caches::watch))
        .route("/v1/caches/recorded", get(caches::recorded))
        .route("/v1/clock", get(clock::clocks))
        .route("/v1/clock/warp", post(clock::warp))
        .route("/v1/faults", get(faults::list).post(faults::add).delete(faults::remove_all))
        .route("/v1/faults/{which}", axum::routing::delete(faults::remove))
        .route("/v1/trace", get(frames::trace))
        .route("/v1/records", get(frames::records))
        .route("/v1/why", get(frames::why))
        .route("/v1/explain", post(frames::explain))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .with_state(context)
}

async fn no_such_path(uri: Uri) -> Response {
    refuse(StatusCode::NOT_FOUND, format!("there is no '{}' here: the paths begin with /v1/", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, format!("'{}' cannot be asked for by {method}", uri.path()))
}

pub(super) fn bad_words(error: impl std::fmt::Display) -> Response {
    refuse(StatusCode::BAD_REQUEST, format!("the request's address cannot be used: {error}"))
}

async fn ping() -> axum::Json<Hello> {
    axum::Json(Hello {
        program: "lanyard".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    })
}

async fn networks(State(context): State<Context>) -> Response {
    answer(context.switch, |switch| Ok(switch.networks())).await
}

async fn create(State(context): State<Context>, body: Body) -> Response {
    match bodies::read::<NetworkSpec>(body).await {
        Ok(spec) => answer(context.switch, move |switch| switch.create_network(&spec)).await,
        Err(refusal) => *refusal,
    }
}

/// `POST /v1/networks/prune`. A network may be called "prune" all the same, which is why this is no path of its own.
async fn prune(State(context): State<Context>, name: Name, method: Method, uri: Uri) -> Response {
    match name {
        Ok(Path(name)) if name == "prune" => answer(context.switch, Switch::prune).await,
        Ok(_) => wrong_method(method, uri).await,
        Err(error) => bad_words(error),
    }
}

async fn inspect(State(context): State<Context>, name: Name) -> Response {
    match name {
        Ok(Path(name)) => answer(context.switch, move |switch| switch.network(&name)).await,
        Err(error) => bad_words(error),
    }
}

async fn remove(State(context): State<Context>, name: Name, removal: Question<Removal>) -> Response {
    match (name, removal) {
        (Ok(Path(name)), Ok(Query(Removal { force }))) => {
            answer(context.switch, move |switch| switch.remove_network(&name, force).map(|()| Done {})).await
        }
        (Err(error), _) => bad_words(error),
        (_, Err(error)) => bad_words(error),
    }
}

async fn peer(State(context): State<Context>, names: TwoNames) -> Response {
    set_peer(context, names, true).await
}

async fn unpeer(State(context): State<Context>, names: TwoNames) -> Response {
    set_peer(context, names, false).await
}

async fn set_peer(context: Context, names: TwoNames, allowed: bool) -> Response {
    match names {
        Ok(Path((a, b))) => answer(context.switch, move |switch| switch.peer(&a, &b, allowed).map(|()| Done {})).await,
        Err(error) => bad_words(error),
    }
}

async fn connect(State(context): State<Context>, name: Name, body: Body) -> Response {
    let name = match name {
        Ok(Path(name)) => name,
        Err(error) => return bad_words(error),
    };
    match bodies::read::<EndpointSpec>(body).await {
        Ok(spec) => answer(context.switch, move |switch| switch.connect(&name, &spec)).await,
        Err(refusal) => *refusal,
    }
}

async fn disconnect(State(context): State<Context>, names: TwoNames) -> Response {
    match names {
        Ok(Path((network, endpoint))) => {
            answer(context.switch, move |switch| switch.disconnect(&network, &endpoint).map(|()| Done {})).await
        }
        Err(error) => bad_words(error),
    }
}

/// A table, of one network or of all.
pub(super) async fn table<T, F>(context: Context, filter: Question<Filter>, read: F) -> Response
where
    T: Serialize + Send + 'static,
    F: FnOnce(&Switch, Option<&str>) -> Result<T, Fault> + Send + 'static,
{
    match filter {
        Ok(Query(Filter { network })) => answer(context.switch, move |switch| read(switch, network.as_deref())).await,
        Err(error) => bad_words(error),
    }
}

async fn ports(State(context): State<Context>, filter: Question<Filter>) -> Response {
    table(context, filter, Switch::ports).await
}

async fn mac(State(context): State<Context>, filter: Question<Filter>) -> Response {
    table(context, filter, Switch::mac).await
}

async fn arp(State(context): State<Context>, filter: Question<Filter>) -> Response {
    table(context, filter, Switch::arp).await
}

async fn drops(State(context): State<Context>, filter: Question<Filter>) -> Response {
    table(context, filter, Switch::drops).await
}

async fn workers(State(context): State<Context>) -> Response {
    answer(context.switch, |switch| Ok(switch.workers())).await
}
