//! Where does the screen's news come from? A thread of its own asks the daemon for its tables every second, reads its trace
//! and puts both where the screen picks them up. What nobody picks up in time does not pile up.
//!
//! The daemon may go and come again: it is asked again and again, and the screen says so meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hyper::Method;
use serde::de::DeserializeOwned;
use switch::control::types::{ArpRow, MacRow, NetworkInfo, PortRow, WhyRow};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::feed::KEPT;
use crate::client::{self, Client, Lines, segment};
use crate::failure::Failure;

/// How often the tables are asked for, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// A daemon with large tables is left alone for so many times as long as its answers take.
const REST: u32 = 20;

/// The tables as the daemon told them at one moment.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) networks: Vec<NetworkInfo>,
    pub(super) ports: Vec<PortRow>,
    pub(super) macs: Vec<MacRow>,
    pub(super) arps: Vec<ArpRow>,
}

/// What has come since the screen last looked.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) lines: VecDeque<String>,
    /// Lines before those, which nobody picked up.
    pub(super) skipped: u64,
    /// The tables, and when they were asked for.
    pub(super) tables: Option<(Tables, Instant)>,
    pub(super) why: Option<Result<Vec<WhyRow>, String>>,
    /// What is in the way of the trace or the tables; empty when it has gone.
    pub(super) fault: Option<String>,
}

/// What the screen wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// Frames that pass this filter, from now on.
    Filter(String),
    /// The history of a row of the MAC table.
    Why {
        /// The row's network.
        network: String,
        /// Its address.
        station: String,
    },
}

/// The screen's end of it.
pub(super) struct Source {
    news: Arc<Mutex<News>>,
    wishes: UnboundedSender<Wish>,
}

impl Source {
    /// Start it.
    pub(super) fn start(client: Client) -> Self {
        let news = Arc::<Mutex<News>>::default();
        let (wishes, heard) = unbounded_channel();
        let desk = Desk { client, news: Arc::clone(&news) };
        thread::spawn(move || {
            let fault = match client::block_on(desk.work(heard)) {
                Ok(()) => return,
                Err(failure) => failure,
            };
            desk.tell(|news| news.fault = Some(fault.to_string()));
        });
        Self { news, wishes }
    }

    /// What has come since the last time.
    pub(super) fn news(&self) -> News {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ask for something. With the thread gone, its fault is among the news.
    pub(super) fn wish(&self, wish: Wish) {
        let _ = self.wishes.send(wish);
    }
}

/// The thread's end of it.
struct Desk {
    client: Client,
    news: Arc<Mutex<News>>,
}

impl Desk {
    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn work(&self, mut wishes: UnboundedReceiver<Wish>) {
        let (mut filter, mut lines, mut refused) = (String::new(), None, String::new());
        let mut next = tokio::time::Instant::now();
        loop {
            tokio::select! {
                wish = wishes.recv() => match wish {
                    // The screen has gone.
                    None => return,
                    Some(Wish::Filter(text)) => {
                        filter = text;
                        (lines, refused) = self.listen(&filter).await;
                    }
                    Some(Wish::Why { network, station }) => self.why(&network, &station).await,
                },
                arrived = arrived(&mut lines) => match arrived {
                    Ok(arrived) if !arrived.is_empty() => self.lines(arrived),
                    _ => lines = None,
                },
                () = tokio::time::sleep_until(next) => {
                    if lines.is_none() {
                        (lines, refused) = self.listen(&filter).await;
                    }
                    next = tokio::time::Instant::now() + self.tables(&refused).await;
                }
            }
        }
    }

    /// The trace from now on, or what is in its way.
    async fn listen(&self, filter: &str) -> (Option<Lines>, String) {
        match self.client.stream(&format!("/v1/trace?filter={}", segment(filter))).await {
            Ok(lines) => (Some(lines), String::new()),
            Err(failure) => (None, failure.to_string()),
        }
    }

    fn lines(&self, arrived: Vec<String>) {
        self.tell(|news| {
            news.lines.extend(arrived);
            let over = news.lines.len().saturating_sub(KEPT);
            news.lines.drain(..over);
            news.skipped += over as u64;
        });
    }

    /// Ask for the tables; how long to wait before the next time. The screen hears what is in their way, or in the trace's:
    /// `refused`.
    async fn tables(&self, refused: &str) -> Duration {
        let asked = Instant::now();
        match self.all_tables().await {
            Ok(tables) => self.tell(|news| {
                news.tables = Some((tables, asked));
                news.fault = Some(refused.to_owned());
            }),
            Err(failure) => self.tell(|news| news.fault = Some(failure.to_string())),
        }
        INTERVAL.max(asked.elapsed() * REST)
    }

    async fn all_tables(&self) -> Result<Tables, Failure> {
        Ok(Tables {
            networks: self.get("/v1/networks").await?,
            ports: self.get("/v1/ports").await?,
            macs: self.get("/v1/mac").await?,
            arps: self.get("/v1/arp").await?,
        })
    }

    async fn why(&self, network: &str, station: &str) {
        let path = format!("/v1/why?network={}&station={}", segment(network), segment(station));
        let answer = self.get(&path).await.map_err(|failure| failure.to_string());
        self.tell(|news| news.why = Some(answer));
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.client.answer(Method::GET, path, None::<&()>).await?.read()
    }
}

/// The next lines; never, while there is no trace.
async fn arrived(lines: &mut Option<Lines>) -> Result<Vec<String>, Failure> {
    match lines {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}
