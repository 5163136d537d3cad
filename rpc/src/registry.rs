//! How methods are put on the server: a name, how many parameters it takes, and a plain function.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    args::Args,
    clients::{HEAVY, LIGHT, TRACE},
    context::{Context, Work},
    error::{BackendError, CallError, RpcError, RpcResult},
};

/// Longest work on an async thread.
const BRIEF: Duration = Duration::from_micros(250);
/// Longest parameters of such work in bytes.
const BRIEF_INPUT: usize = 16 * 1024;

/// Collects the methods of the namespaces that are switched on.
pub(crate) struct Registry {
    pub(crate) module: RpcModule<Context>,
    /// The namespaces that are switched on.
    pub(crate) namespaces: Vec<String>,
    costs: Costs,
    failure: Option<RegisterMethodError>,
}

/// What a call of each method costs a client, in credits.
pub(crate) type Costs = HashMap<&'static str, NonZeroU32>;

/// A method that awaits something.
pub(crate) type Slow<R> = fn(Arc<Context>, Args) -> BoxFuture<'static, RpcResult<R>>;

impl Registry {
    pub(crate) fn new(context: Arc<Context>, namespaces: Vec<String>) -> Self {
        Self { module: RpcModule::from_arc(context), namespaces, costs: Costs::new(), failure: None }
    }

    /// All methods with their costs, or the name that was registered twice.
    pub(crate) fn finish(mut self) -> Result<(RpcModule<Context>, Costs), RegisterMethodError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        for name in self.module.method_names() {
            self.costs.entry(name).or_insert(LIGHT);
        }
        Ok((self.module, self.costs))
    }

    /// A method that answers within microseconds: runs on the async thread.
    pub(crate) fn light<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        let added = self.module.register_method(name, move |params, context, extensions| {
            let deadline = context.deadline(extensions);
            let answer = Args::parse(&params, max_args, deadline).and_then(|args| method(context, &args));
            encode(answer)
        });
        self.failure = self.failure.take().or(added.err());
    }

    /// A method that reads much: runs, and is encoded, on a blocking thread.
    pub(crate) fn heavy<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        self.blocking(name, max_args, method, Work::Heavy, false);
    }

    /// A method that runs code the caller chose: as a heavy one, but reads do not queue behind it.
    pub(crate) fn call<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        self.blocking(name, max_args, method, Work::Call, false);
    }

    /// A method that most often ends within microseconds, for which the way to another thread would be the dearest part. It is
    /// tried where it arrived, for [`BRIEF`] at most; when that is not enough it runs as the work it is.
    pub(crate) fn brief<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
        kind: Work,
    ) {
        self.blocking(name, max_args, method, kind, true);
    }

    /// A method that reads of one block: brief where that block is in memory. A client pays for it as for a light one.
    pub(crate) fn one<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        self.blocking(name, max_args, method, Work::Heavy, true);
        self.costs.insert(name, LIGHT);
    }

    /// A method that executes blocks again: as a heavy one, but few at a time.
    pub(crate) fn trace<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        self.blocking(name, max_args, method, Work::Trace, false);
    }

    fn blocking<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
        kind: Work,
        brief: bool,
    ) {
        let added = self.module.register_async_method(name, move |params, context, extensions| async move {
            let deadline = context.deadline(&extensions);
            // Much input is much work, before anything looks at the clock.
            let brief = brief && params.as_str().is_none_or(|text| text.len() <= BRIEF_INPUT);
            let mut args = Args::parse(&params, max_args, deadline)?;
            if brief {
                let until = Instant::now().checked_add(BRIEF).unwrap_or(deadline).min(deadline);
                args = args.tried_until(until);
                match method(&context, &args) {
                    Err(RpcError::Timeout | RpcError::Call(CallError::Timeout)) => args = args.whole(deadline),
                    answer => return encode(answer),
                }
            }
            context.run(kind, move |context| Ok(encode(timely(context, &args, method)))).await?
        });
        let cost = match kind {
            Work::Heavy | Work::Call => HEAVY,
            Work::Trace => TRACE,
        };
        self.costs.insert(name, cost);
        self.failure = self.failure.take().or(added.err());
    }

    /// A method that awaits.
    pub(crate) fn slow<R: Serialize + 'static>(&mut self, name: &'static str, max_args: usize, method: Slow<R>) {
        let added = self.module.register_async_method(name, move |params, context, extensions| async move {
            let args = Args::parse(&params, max_args, context.deadline(&extensions))?;
            encode(method(context, args).await)
        });
        self.failure = self.failure.take().or(added.err());
    }

    /// Records the outcome of a registration made on the module itself.
    pub(crate) fn note<T>(&mut self, outcome: Result<T, RegisterMethodError>) {
        self.failure = self.failure.take().or(outcome.err());
    }
}

/// Runs a method within the request's time. One whose turn comes too late does not begin, and one that had to stop at the
/// end of that time answers as the server itself does: which of the two looks at the clock first must not show.
fn timely<R>(context: &Context, args: &Args, method: fn(&Context, &Args) -> RpcResult<R>) -> RpcResult<R> {
    let late = || Instant::now() >= args.deadline();
    if late() {
        return Err(RpcError::Timeout);
    }
    match method(context, args) {
        Err(RpcError::Call(CallError::Timeout) | RpcError::TraceTimeout) if late() => Err(RpcError::Timeout),
        answer => answer,
    }
}

fn encode<R: Serialize>(answer: RpcResult<R>) -> Result<Box<RawValue>, ErrorObjectOwned> {
    let answer = answer?;
    to_raw_value(&answer).map_err(|why| RpcError::from(BackendError::Internal(why.to_string())).into())
}
