//! Argon2id on a bounded pool of its own threads.
//!
//! A hash costs 20 ms of a core and 19 MiB of memory: without bounds a flood of logins would
//! starve the proxy. So there are as many threads as cores, at a lower OS priority, each with one
//! block of memory that it uses again and again, and a short queue; who does not fit in is told
//! to come back later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use async_trait::async_trait;
use parking_lot::{Condvar, Mutex};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::domain::secret::Secret;
use crate::ports::{HashError, PasswordHasher, Random, Unavailable, Verified};

/// No password has more characters (R-B1), counted after NFC.
const MAX_CHARACTERS: usize = 128;
/// More bytes than 128 characters can have in any normalisation form: refused without a look.
const MAX_BYTES: usize = MAX_CHARACTERS * 18;
/// A hash on file that asks for more memory than this is not ours.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const OUTPUT_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
/// Nice value of the threads: the proxy goes first.
const NICE: i32 = 10;

/// Parameters for new hashes (`[password.argon2]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Settings {
    /// Memory in KiB (m).
    pub memory_kib: u32,
    /// Passes (t).
    pub iterations: u32,
    /// Lanes (p).
    pub parallelism: u32,
}

impl Default for Argon2Settings {
    /// OWASP's parameters.
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// Told how long each hash took, for the metrics.
pub type SpentHook = Box<dyn Fn(Duration) + Send + Sync>;

/// Hashes and verifies portal passwords.
pub struct Argon2Hasher {
    pool: Arc<Pool>,
    params: Params,
    random: Arc<dyn Random>,
}

impl Argon2Hasher {
    /// A pool of `threads` threads and as many permits; at most `queue` more jobs wait. `spent`
    /// hears how long each hash took. Fails on impossible settings.
    pub fn new(
        settings: Argon2Settings,
        threads: usize,
        queue: usize,
        random: Arc<dyn Random>,
        spent: SpentHook,
    ) -> Result<Self, Unavailable> {
        let Argon2Settings { memory_kib, iterations, parallelism } = settings;
        let params = Params::new(memory_kib, iterations, parallelism, Some(OUTPUT_BYTES))
            .map_err(|error| Unavailable::new("hasher", error))?;
        let pool = Arc::new(Pool {
            queue: Mutex::default(),
            work: Condvar::new(),
            capacity: queue.max(1),
            spent,
        });
        // Made before the threads, so that those which did start end if another cannot.
        let hasher = Self { pool, params, random };
        for number in 0..threads.max(1) {
            let pool = Arc::clone(&hasher.pool);
            let blocks = hasher.params.block_count();
            thread::Builder::new()
                .name(format!("argon2-{number}"))
                .spawn(move || pool.run(blocks))
                .map_err(|error| Unavailable::new("hasher", error))?;
        }
        Ok(hasher)
    }

    /// How many jobs wait for a thread.
    pub fn queue_len(&self) -> usize {
        self.pool.queue.lock().jobs.len()
    }

    async fn derive(&self, derivation: Derivation) -> Result<Zeroizing<Vec<u8>>, HashError> {
        let (reply, answer) = oneshot::channel();
        self.pool.submit(Job { derivation, reply })?;
        match answer.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Unavailable::new("hasher", "its thread has ended").into()),
        }
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let password =
            normalise(password).ok_or_else(|| failed("a password has at most 128 characters"))?;
        let salt = self.random.bytes::<SALT_BYTES>();
        let output = self
            .derive(Derivation {
                argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone()),
                password,
                salt: salt.to_vec(),
                length: OUTPUT_BYTES,
            })
            .await?;
        let phc = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(failed)?,
            salt: Some(Salt::new(&salt).map_err(failed)?),
            hash: Some(Output::new(&output).map_err(failed)?),
        };
        Ok(phc.to_string())
    }

    async fn verify(&self, password: &Secret, phc: &str) -> Result<Verified, HashError> {
        let Some(password) = normalise(password) else { return Ok(Verified::Wrong) };
        let (on_file, argon2) = read(phc).ok_or_else(|| failed("a hash on file cannot be read"))?;
        let (Some(salt), Some(expected)) = (on_file.salt, on_file.hash) else {
            return Err(failed("a hash on file is incomplete"));
        };
        let up_to_date = on_file.algorithm == ARGON2ID_IDENT
            && on_file.version == Some(Version::V0x13.into())
            && same_cost(argon2.params(), &self.params)
            && expected.len() == OUTPUT_BYTES;
        let output = self
            .derive(Derivation { argon2, password, salt: salt.to_vec(), length: expected.len() })
            .await?;
        Ok(match (bool::from(output.ct_eq(expected.as_bytes())), up_to_date) {
            (true, true) => Verified::Right,
            (true, false) => Verified::RightButOutdated,
            (false, _) => Verified::Wrong,
        })
    }
}

impl Drop for Argon2Hasher {
    fn drop(&mut self) {
        self.pool.queue.lock().closed = true;
        self.pool.work.notify_all();
    }
}

impl std::fmt::Debug for Argon2Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Argon2Hasher").field("params", &self.params).finish_non_exhaustive()
    }
}

/// The password in NFC; `None` if it is longer than any password.
fn normalise(password: &Secret) -> Option<Zeroizing<String>> {
    if password.expose().len() > MAX_BYTES {
        return None;
    }
    // Enough room from the beginning: a string that grows leaves copies of itself behind.
    let mut normal = Zeroizing::new(String::with_capacity(password.expose().len() * 3));
    normal.extend(password.expose().nfc());
    (normal.chars().count() <= MAX_CHARACTERS).then_some(normal)
}

/// A PHC string with the context that made it; `None` if it is not one of argon2 within bounds.
fn read(phc: &str) -> Option<(PasswordHash, Argon2<'static>)> {
    let on_file = PasswordHash::new(phc).ok()?;
    let algorithm = Algorithm::try_from(on_file.algorithm.as_str()).ok()?;
    let version = on_file.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
    let params = Params::try_from(&on_file).ok()?;
    if params.m_cost() > MAX_MEMORY_KIB {
        return None;
    }
    Some((on_file, Argon2::new(algorithm, version, params)))
}

fn same_cost(one: &Params, other: &Params) -> bool {
    (one.m_cost(), one.t_cost(), one.p_cost()) == (other.m_cost(), other.t_cost(), other.p_cost())
}

fn failed(detail: impl std::fmt::Display) -> HashError {
    HashError::Failed(Unavailable::new("hasher", detail))
}

struct Derivation {
    argon2: Argon2<'static>,
    password: Zeroizing<String>,
    salt: Vec<u8>,
    length: usize,
}

struct Job {
    derivation: Derivation,
    reply: oneshot::Sender<Result<Zeroizing<Vec<u8>>, Unavailable>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Pool {
    queue: Mutex<Queue>,
    work: Condvar,
    capacity: usize,
    spent: SpentHook,
}

impl Pool {
    fn submit(&self, job: Job) -> Result<(), HashError> {
        let mut queue = self.queue.lock();
        if queue.jobs.len() >= self.capacity {
            // Whoever has gone away does not take up room.
            queue.jobs.retain(|job| !job.reply.is_closed());
        }
        if queue.jobs.len() >= self.capacity {
            return Err(HashError::Busy);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.work.notify_one();
        Ok(())
    }

    /// The life of one thread.
    fn run(&self, block_count: usize) {
        // On Linux the priority is the calling thread's. Where it cannot be lowered, the pool works
        // all the same.
        let _ = rustix::process::setpriority_process(None, NICE);
        // Made by the first job and kept: where nobody has a password yet, none is needed.
        let mut memory = Vec::new();
        let mut used = false;
        loop {
            let mut queue = self.queue.lock();
            let job = queue.jobs.pop_front();
            let closed = queue.closed;
            match job {
                Some(job) => {
                    drop(queue);
                    if !job.reply.is_closed() {
                        used = true;
                        self.work_on(job, &mut memory, block_count);
                    }
                }
                // The next job overwrites the memory; a pause does not find a password's traces.
                None if used => {
                    drop(queue);
                    wipe(&mut memory);
                    used = false;
                }
                None if closed => return,
                None => self.work.wait(&mut queue),
            }
        }
    }

    fn work_on(&self, job: Job, memory: &mut Vec<Block>, block_count: usize) {
        let Derivation { argon2, password, salt, length } = job.derivation;
        let begun = Instant::now();
        let needed = argon2.params().block_count();
        if needed > memory.len() {
            memory.resize(needed, Block::default());
        }
        let mut output = Zeroizing::new(vec![0; length]);
        let result = argon2.hash_password_into_with_memory(
            password.as_bytes(),
            &salt,
            &mut output,
            memory.as_mut_slice(),
        );
        (self.spent)(begun.elapsed());
        // Nobody to hear it: the request has gone away meanwhile.
        let _ = job
            .reply
            .send(result.map(|()| output).map_err(|error| Unavailable::new("hasher", error)));
        if memory.len() > block_count {
            // A hash with greater parameters is rare: its memory goes back.
            wipe(memory);
            memory.truncate(block_count);
            memory.shrink_to_fit();
        }
    }
}

fn wipe(memory: &mut [Block]) {
    for block in memory {
        block.as_mut().fill(0);
    }
}
