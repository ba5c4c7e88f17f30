//! A client's connection: frames in, frames out, many requests at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::CqlError;
use crate::request::ClientState;

use super::body::BodyReader;
use super::compression::Compression;
use super::extensions::{Extensions, negotiate};
use super::frame::{BrokenFrame, HEADER_LENGTH, Header, Opcode};
use super::outbox::Outbox;
use super::request::Request;
use super::response::Envelope;
use super::service::Service;

/// Requests of one connection that are worked on at once.
const MAX_IN_FLIGHT: u32 = 1024;
/// Requests that came together are executed together, by so many a task: enough to make
/// the task's cost small, few enough to keep every core busy.
const REQUESTS_A_TASK: usize = 16;
/// What is read at once.
const READ_BUFFER: usize = 64 << 10;
/// Smaller bodies are bounded by their number, larger ones are counted.
const LARGE_BODY: usize = 64 << 10;
/// Responses are handed to the writer when this much of them is ready.
const RESPONSE_BATCH: usize = 256 << 10;
/// How long the rest of a frame that has begun may stay away: nobody else gets the memory
/// that is kept for it.
pub(crate) const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a node that restarts waits for a client that does not read its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub service: Service,
    /// Room for large bodies, in KiB.
    pub memory: Arc<Semaphore>,
    /// How long a frame may stop half-way.
    pub frame_timeout: Duration,
    /// Ends all of them.
    pub closing: CancellationToken,
}

/// KiB for all large bodies at work: two of the largest.
pub(super) const MEMORY_KIB: usize = 512 << 10;

struct Frame {
    header: Header,
    body: Bytes,
    /// Held until the request is answered.
    memory: Option<OwnedSemaphorePermit>,
}

/// Why a connection ends from this side.
enum End {
    /// The client is gone, or the node is told to drop it.
    Silent,
    /// The client broke the protocol and is told so.
    Broken(BrokenFrame),
    /// The node restarts: requests under way are answered, among them the one that asked for it.
    Closing,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        End::Silent
    }
}

impl From<BrokenFrame> for End {
    fn from(broken: BrokenFrame) -> Self {
        End::Broken(broken)
    }
}

/// Serves one client until one of both ends it.
pub(super) async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let (reader, writer) = socket.into_split();
    let outbox = Arc::new(Outbox::new());
    let mut writing = tokio::spawn({
        let outbox = outbox.clone();
        async move { outbox.write_to(writer).await }
    });
    let closing = shared.closing.clone();
    let under_way = TaskTracker::new();
    let mut connection = Connection {
        shared,
        outbox: outbox.clone(),
        reader,
        buffer: BytesMut::new(),
        state: Arc::new(Mutex::new(ClientState::default())),
        extensions: None,
        in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT as usize)),
        under_way: under_way.clone(),
        events: None,
    };
    let end = tokio::select! {
        end = connection.read() => end,
        () = outbox.aborted() => End::Silent,
        () = closing.cancelled() => End::Closing,
    };
    if let Some(events) = &connection.events {
        events.abort();
    }
    match end {
        End::Silent => outbox.abort(),
        End::Broken(BrokenFrame { stream, error }) => {
            let envelope = Envelope { version: 4, stream, extensions: Extensions::default() };
            outbox.push(|out| envelope.error(out, &error, None));
            outbox.finish();
            if (&mut writing).await.is_err() {
                tracing::debug!("the writer of a connection was stopped");
            }
        }
        End::Closing => {
            under_way.close();
            let last_answers = async {
                under_way.wait().await;
                outbox.finish();
                (&mut writing).await
            };
            if !matches!(tokio::time::timeout(LAST_ANSWERS, last_answers).await, Ok(Ok(()))) {
                tracing::debug!("a client has not read the last answers to it");
                outbox.abort();
            }
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    outbox: Arc<Outbox>,
    reader: OwnedReadHalf,
    buffer: BytesMut,
    state: Arc<Mutex<ClientState>>,
    /// `None` until STARTUP.
    extensions: Option<Extensions>,
    in_flight: Arc<Semaphore>,
    /// Requests of these that no fault holds up.
    under_way: TaskTracker,
    events: Option<AbortHandle>,
}

impl Connection {
    async fn read(&mut self) -> End {
        loop {
            if let Err(end) = self.read_frames().await {
                return end;
            }
        }
    }

    async fn fill(&mut self, wanted: usize) -> Result<(), End> {
        self.buffer.reserve(wanted.clamp(4 << 10, READ_BUFFER));
        let begun = !self.buffer.is_empty();
        let reading = self.reader.read_buf(&mut self.buffer);
        let read = if begun {
            let Ok(read) = tokio::time::timeout(self.shared.frame_timeout, reading).await else {
                tracing::debug!("a client stopped in the middle of a frame");
                return Err(End::Silent);
            };
            read?
        } else {
            reading.await?
        };
        if read == 0 { Err(End::Silent) } else { Ok(()) }
    }

    /// Waits for one frame, then takes all that have come with it.
    async fn read_frames(&mut self) -> Result<(), End> {
        let mut together = Vec::new();
        loop {
            let missing = match Header::peek(&self.buffer) {
                Ok(Some(header)) => {
                    let whole = HEADER_LENGTH + header.length;
                    let large = header.length > LARGE_BODY;
                    // A large one is waited for, but not while others wait for it.
                    if self.buffer.len() >= whole || (large && together.is_empty()) {
                        let frame = self.take(header).await?;
                        self.outbox.room().await;
                        if let Some(frame) = self.answer_at_once(frame)? {
                            together.push(frame);
                        }
                        if together.len() == REQUESTS_A_TASK {
                            self.dispatch(std::mem::take(&mut together)).await?;
                        }
                        continue;
                    }
                    whole - self.buffer.len()
                }
                Ok(None) => READ_BUFFER,
                Err(broken) => {
                    self.dispatch(together).await?;
                    return Err(broken.into());
                }
            };
            if !together.is_empty() {
                return self.dispatch(together).await;
            }
            self.fill(missing.max(READ_BUFFER)).await?;
        }
    }

    /// Takes a frame out of the buffer, after waiting for its rest if it is large.
    async fn take(&mut self, header: Header) -> Result<Frame, End> {
        let mut memory = None;
        if header.length > LARGE_BODY {
            memory = Some(self.memory_for(header.length).await?);
        }
        while self.buffer.len() < HEADER_LENGTH + header.length {
            let missing = HEADER_LENGTH + header.length - self.buffer.len();
            self.fill(missing).await?;
        }
        let mut frame = self.buffer.split_to(HEADER_LENGTH + header.length);
        let body = frame.split_off(HEADER_LENGTH).freeze();
        let compression = self.extensions.unwrap_or_default().compression;
        if let Some(length) = header.claimed_length(&body, compression)
            && length > LARGE_BODY
        {
            // Given back first: to wait for more while holding some could wait for ever.
            drop(memory.take());
            memory = Some(self.memory_for(length.max(header.length)).await?);
        }
        Ok(Frame { header, body, memory })
    }

    async fn memory_for(&self, length: usize) -> Result<OwnedSemaphorePermit, End> {
        let kib = u32::try_from((length >> 10).min(MEMORY_KIB)).unwrap_or(u32::MAX);
        self.shared.memory.clone().acquire_many_owned(kib).await.map_err(|_| End::Silent)
    }

    fn envelope(&self, header: &Header) -> Envelope {
        Envelope {
            version: header.version,
            stream: header.stream,
            extensions: self.extensions.unwrap_or_default(),
        }
    }

    /// Answers what belongs to the connection itself; gives back what needs the engine.
    fn answer_at_once(&mut self, frame: Frame) -> Result<Option<Frame>, End> {
        let envelope = self.envelope(&frame.header);
        let opcode = match frame.header.opcode() {
            Ok(opcode) => opcode,
            Err(error) => return Err(BrokenFrame { stream: envelope.stream, error }.into()),
        };
        match (opcode, self.extensions) {
            (Opcode::Query | Opcode::Prepare | Opcode::Execute | Opcode::Batch, Some(_)) => {
                return Ok(Some(frame));
            }
            (Opcode::Options | Opcode::Startup, _) | (_, Some(_)) => {}
            (_, None) => {
                let error = CqlError::protocol(format!(
                    "Unexpected message {}, expecting STARTUP or OPTIONS",
                    opcode as u8
                ));
                return Err(BrokenFrame { stream: envelope.stream, error }.into());
            }
        }
        let answer = decode(&frame, envelope.extensions).and_then(|request| match request {
            Request::Startup(options) => {
                self.extensions = Some(negotiate(&options)?);
                self.outbox.push(|out| envelope.ready(out));
                Ok(())
            }
            Request::Register(kinds) => {
                self.register(&kinds, envelope)?;
                self.outbox.push(|out| envelope.ready(out));
                Ok(())
            }
            _ => {
                self.outbox.push(|out| envelope.supported(out));
                Ok(())
            }
        });
        if let Err(error) = answer {
            self.outbox.push(|out| envelope.error(out, &error, None));
        }
        Ok(None)
    }

    fn register(&mut self, kinds: &[String], envelope: Envelope) -> Result<(), CqlError> {
        let known = ["SCHEMA_CHANGE", "STATUS_CHANGE", "TOPOLOGY_CHANGE"];
        if let Some(kind) = kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
            return Err(CqlError::protocol(format!("Invalid value '{kind}' for Type")));
        }
        // One node has no changes of status and topology to tell.
        if !kinds.iter().any(|kind| kind == "SCHEMA_CHANGE") || self.events.is_some() {
            return Ok(());
        }
        let envelope = Envelope { stream: -1, ..envelope };
        let mut changes = self.shared.service.engine().subscribe_schema();
        let outbox = self.outbox.clone();
        let task = tokio::spawn(async move {
            loop {
                // One who does not read misses changes rather than having them kept.
                outbox.room().await;
                match changes.recv().await {
                    Ok(change) => outbox.push(|out| envelope.schema_event(out, &change)),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "a client did not hear of every schema change");
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
        self.events = Some(task.abort_handle());
        Ok(())
    }

    /// Executes frames that came together, in a task of their own.
    async fn dispatch(&mut self, frames: Vec<Frame>) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(frames.len()).unwrap_or(1).min(MAX_IN_FLIGHT);
        let permit =
            self.in_flight.clone().acquire_many_owned(count).await.map_err(|_| End::Silent)?;
        let worker = Worker {
            shared: self.shared.clone(),
            outbox: self.outbox.clone(),
            state: self.state.clone(),
            extensions: self.extensions.unwrap_or_default(),
        };
        let under_way = self.under_way.token();
        tokio::spawn(async move { worker.execute(frames, permit, under_way).await });
        Ok(())
    }
}

/// A frame's body without compression and custom payload.
pub(super) fn plain(
    header: &Header,
    body: Bytes,
    compression: Compression,
) -> Result<BodyReader, CqlError> {
    let mut body = BodyReader::new(header.plain_body(body, compression)?);
    if header.has_custom_payload() {
        body.skip_bytes_map()?;
    }
    Ok(body)
}

fn decode(frame: &Frame, extensions: Extensions) -> Result<Request, CqlError> {
    let mut body = plain(&frame.header, frame.body.clone(), extensions.compression)?;
    Request::decode(frame.header.opcode()?, &mut body, extensions)
}

/// What a task needs to execute requests.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) state: Arc<Mutex<ClientState>>,
    extensions: Extensions,
}

impl Worker {
    /// `permit`: for as many requests as there are frames.
    async fn execute(
        &self,
        frames: Vec<Frame>,
        mut permit: OwnedSemaphorePermit,
        under_way: TaskTrackerToken,
    ) {
        let mut out = BytesMut::new();
        let mut faulty = Vec::new();
        let mut announced = self.outbox.announce();
        for frame in frames {
            // What this task has made must not be what it waits for.
            if out.len() > RESPONSE_BATCH || !self.outbox.has_room() {
                self.push(&mut out).await;
                announced.grow_to(0);
            }
            self.outbox.room().await;
            let envelope = Envelope {
                version: frame.header.version,
                stream: frame.header.stream,
                extensions: self.extensions,
            };
            match decode(&frame, self.extensions) {
                Ok(request) => match self.shared.service.fault_for(&self.state, &request) {
                    None => {
                        self.shared.service.answer(&envelope, &self.state, &request, &mut out);
                    }
                    Some(action) => faulty.push((envelope, request, action, frame.memory)),
                },
                Err(error) => envelope.error(&mut out, &error, None),
            }
            announced.grow_to(out.len());
        }
        self.push(&mut out).await;
        drop(announced);
        // Each on its own: a delayed request delays no other, but counts until it is answered.
        for (envelope, request, action, memory) in faulty {
            let worker = self.clone();
            let permit = permit.split(1);
            let under_way = under_way.clone();
            tokio::spawn(async move {
                worker.execute_faulty(envelope, request, action, under_way).await;
                drop((permit, memory));
            });
        }
    }

    /// Sends answers, as soon as what they tell of is as durable as asked for.
    pub(super) async fn push(&self, out: &mut BytesMut) {
        if out.is_empty() {
            return;
        }
        match self.shared.service.engine().settled().await {
            Ok(()) => self.outbox.push(|outbox| outbox.extend_from_slice(out)),
            // Whether they are true is not known any more, as after a crash.
            Err(error) => {
                tracing::error!(%error, "answers are withheld");
                self.outbox.abort();
            }
        }
        out.clear();
    }
}
