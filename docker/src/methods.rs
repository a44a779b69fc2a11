//! Which method asks what, and what is answered? One function each, named after the method.
//!
//! - An answer has the keys that dockerd needs and no others: what it gave itself (addresses, a MAC address that the user
//!   chose) it takes, when it comes back, for an attempt to change it, and rolls the container's start back.
//! - `Activate` and `GetCapabilities` come without a body. Anything else without one is a request that dockerd repeats
//!   after its connection broke, and nobody knows any more what it said.
//! - Both scopes are local: swarm does not take drivers of this form, and with a global one nothing works outside of swarm.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::calls::{Caller, Undo};
use crate::fabric::{EndpointState, Joined, Protocol, PublishedPort};
use crate::fault::Fault;
use crate::wire::{AnyRequest, EndpointRequest, NetworkRequest, id, read, said};
use crate::{endpoint, network};

type Answer = Result<Value, Fault>;

/// Answer a request: `path` as in the request line, `body` as it came.
pub(crate) async fn answer(caller: &Caller, path: &str, body: &[u8]) -> (StatusCode, Value) {
    let method = path.strip_prefix('/').unwrap_or(path);
    match dispatch(caller, method, body).await {
        Ok(answer) => {
            tracing::debug!("{method}: {answer}");
            (StatusCode::OK, answer)
        }
        Err(fault) => {
            tracing::warn!("{}: {fault}", crate::fault::shown(method));
            (fault.status(), fault.document())
        }
    }
}

async fn dispatch(caller: &Caller, method: &str, body: &[u8]) -> Answer {
    match method {
        "Plugin.Activate" => Ok(json!({"Implements": ["NetworkDriver"]})),
        "NetworkDriver.GetCapabilities" => {
            Ok(json!({"Scope": "local", "ConnectivityScope": "local", "GwAllocChecker": true}))
        }
        "NetworkDriver.GwAllocCheck" => gw_alloc_check(body),
        "NetworkDriver.CreateNetwork" => create_network(caller, body).await,
        "NetworkDriver.DeleteNetwork" => delete_network(caller, body).await,
        // Swarm's, for drivers of global scope, whose network ids have another form; and word of other nodes.
        "NetworkDriver.AllocateNetwork"
        | "NetworkDriver.FreeNetwork"
        | "NetworkDriver.DiscoverNew"
        | "NetworkDriver.DiscoverDelete" => read(body).map(|AnyRequest {}| json!({})),
        "NetworkDriver.CreateEndpoint" => create_endpoint(caller, body).await,
        "NetworkDriver.EndpointOperInfo" => endpoint_oper_info(caller, body).await,
        "NetworkDriver.Join" => join(caller, body).await,
        "NetworkDriver.ProgramExternalConnectivity" => program_external_connectivity(caller, body).await,
        "NetworkDriver.RevokeExternalConnectivity" => revoke_external_connectivity(caller, body).await,
        "NetworkDriver.Leave" => leave(caller, body).await,
        "NetworkDriver.DeleteEndpoint" => delete_endpoint(caller, body).await,
        other => Err(Fault::Unknown(crate::fault::shown(other))),
    }
}

fn gw_alloc_check(body: &[u8]) -> Answer {
    let (ipv4, ipv6) = network::skipped_gateways(&read::<NetworkRequest>(body)?)?;
    Ok(json!({"SkipIPv4": ipv4, "SkipIPv6": ipv6}))
}

async fn create_network(caller: &Caller, body: &[u8]) -> Answer {
    let request: NetworkRequest = read(body)?;
    let id = network_id(request.network.as_deref())?;
    let network = network::network(&request)?;
    let made = id.clone();
    let undo: Undo = Box::new(move |fabric| fabric.delete_network(&made));
    let what = format!("CreateNetwork {id}");
    caller.ask(what, Some(undo), move |fabric| fabric.create_network(&id, &network)).await.map(nothing)
}

async fn delete_network(caller: &Caller, body: &[u8]) -> Answer {
    let request: NetworkRequest = read(body)?;
    let id = network_id(request.network.as_deref())?;
    caller.ask(format!("DeleteNetwork {id}"), None, move |fabric| fabric.delete_network(&id)).await.map(nothing)
}

async fn create_endpoint(caller: &Caller, body: &[u8]) -> Answer {
    let request: EndpointRequest = read(body)?;
    let (network, id) = ids(&request)?;
    let endpoint = endpoint::endpoint(&request)?;
    let chosen_by_user = endpoint.mac.is_some();
    let (of, made) = (network.clone(), id.clone());
    let undo: Undo = Box::new(move |fabric| fabric.delete_endpoint(&of, &made));
    let what = format!("CreateEndpoint {id}");
    let call = move |fabric: &dyn crate::Fabric| fabric.create_endpoint(&network, &id, &endpoint);
    let mac = caller.ask(what, Some(undo), call).await?;
    Ok(if chosen_by_user { json!({}) } else { json!({"Interface": {"MacAddress": mac}}) })
}

/// For a human who asks the driver itself. Never a key that dockerd looks for (`com.docker.network.portmap`,
/// `..endpoint.exposedports`, `..endpoint.macaddress`): it expects Go types there, which JSON has not.
async fn endpoint_oper_info(caller: &Caller, body: &[u8]) -> Answer {
    let request: EndpointRequest = read(body)?;
    let (network, id) = ids(&request)?;
    let call = move |fabric: &dyn crate::Fabric| Ok(fabric.endpoint(&network, &id));
    let state = caller.ask("EndpointOperInfo".to_owned(), None, call).await?;
    Ok(json!({"Value": state.map_or_else(|| json!({}), |state| told(&state))}))
}

fn told(state: &EndpointState) -> Value {
    let published: Vec<_> = state.published.iter().map(published).collect();
    json!({"lanyard.mac": state.mac, "lanyard.published": published})
}

/// In the words of `docker port`.
fn published(port: &PublishedPort) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let host = std::net::SocketAddr::new(port.host_ip, port.host_port);
    format!("{}/{protocol} -> {host}", port.container_port)
}

/// The ports among the options are the sandbox's; they are published when dockerd says so, not here.
async fn join(caller: &Caller, body: &[u8]) -> Answer {
    let request: EndpointRequest = read(body)?;
    let (network, id) = ids(&request)?;
    let Some(sandbox) = said(request.sandbox_key.as_deref()).map(str::to_owned) else {
        return Err(Fault::Malformed("SandboxKey is missing".to_owned()));
    };
    let call = move |fabric: &dyn crate::Fabric| fabric.join(&network, &id, &sandbox);
    let what = format!("Join {}", request.endpoint.as_deref().unwrap_or_default());
    caller.ask(what, None, call).await.map(|joined| welcome(&joined))
}

/// Where there is no gateway, there shall be none. dockerd passes internal networks over by itself when it looks for
/// one that lacks a way out; to others without a gateway it would add a second interface, on `docker_gwbridge`, unless
/// it is told not to.
fn welcome(joined: &Joined) -> Value {
    let mut answer = Map::new();
    let name = json!({"SrcName": joined.source_name, "DstPrefix": joined.prefix});
    answer.insert("InterfaceName".to_owned(), name);
    if let Some(gateway) = joined.gateway {
        answer.insert("Gateway".to_owned(), json!(gateway));
    }
    if let Some(gateway) = joined.gateway_ipv6 {
        answer.insert("GatewayIPv6".to_owned(), json!(gateway));
    }
    if joined.gateway.is_none() && joined.gateway_ipv6.is_none() {
        answer.insert("DisableGatewayService".to_owned(), json!(true));
    }
    Value::Object(answer)
}

/// Comes for the endpoint that is the sandbox's way out, even without ports: then nothing is published any more.
async fn program_external_connectivity(caller: &Caller, body: &[u8]) -> Answer {
    let mut request: EndpointRequest = read(body)?;
    let (network, id) = ids(&request)?;
    let ports = endpoint::ports(request.options.take())?;
    let what = format!("ProgramExternalConnectivity {id}");
    caller.ask(what, None, move |fabric| fabric.publish(&network, &id, &ports)).await.map(nothing)
}

async fn revoke_external_connectivity(caller: &Caller, body: &[u8]) -> Answer {
    let (network, id) = ids(&read(body)?)?;
    let what = format!("RevokeExternalConnectivity {id}");
    caller.ask(what, None, move |fabric| fabric.revoke(&network, &id)).await.map(nothing)
}

async fn leave(caller: &Caller, body: &[u8]) -> Answer {
    let (network, id) = ids(&read(body)?)?;
    caller.ask(format!("Leave {id}"), None, move |fabric| fabric.leave(&network, &id)).await.map(nothing)
}

async fn delete_endpoint(caller: &Caller, body: &[u8]) -> Answer {
    let (network, id) = ids(&read(body)?)?;
    let what = format!("DeleteEndpoint {id}");
    caller.ask(what, None, move |fabric| fabric.delete_endpoint(&network, &id)).await.map(nothing)
}

/// The answer where there is nothing to tell. An empty body would be an error.
fn nothing((): ()) -> Value {
    json!({})
}

fn network_id(text: Option<&str>) -> Result<String, Fault> {
    id("NetworkID", text)
}

fn ids(request: &EndpointRequest) -> Result<(String, String), Fault> {
    Ok((network_id(request.network.as_deref())?, id("EndpointID", request.endpoint.as_deref())?))
}
