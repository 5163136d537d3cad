//! How methods are put on the server: a name, how many parameters it takes, and a plain function.

use std::sync::Arc;

use futures::future::BoxFuture;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    args::Args,
    context::Context,
    error::{BackendError, RpcResult},
};

/// Collects the methods of the namespaces that are switched on.
pub(crate) struct Registry {
    pub(crate) module: RpcModule<Context>,
    failure: Option<RegisterMethodError>,
}

/// A method that awaits something.
pub(crate) type Slow<R> = fn(Arc<Context>, Args) -> BoxFuture<'static, RpcResult<R>>;

impl Registry {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { module: RpcModule::from_arc(context), failure: None }
    }

    /// All methods, or the name that was registered twice.
    pub(crate) fn finish(self) -> Result<RpcModule<Context>, RegisterMethodError> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.module),
        }
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

    /// A method that reads much or computes: runs, and is encoded, on a blocking thread.
    pub(crate) fn heavy<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        let added = self.module.register_async_method(name, move |params, context, extensions| async move {
            let args = Args::parse(&params, max_args, context.deadline(&extensions))?;
            context.heavy(move |context| Ok(encode(method(context, &args)))).await?
        });
        self.failure = self.failure.take().or(added.err());
    }

    /// A method that executes blocks again: as a heavy one, but few at a time.
    pub(crate) fn trace<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        max_args: usize,
        method: fn(&Context, &Args) -> RpcResult<R>,
    ) {
        let added = self.module.register_async_method(name, move |params, context, extensions| async move {
            let args = Args::parse(&params, max_args, context.deadline(&extensions))?;
            context.trace(move |context| Ok(encode(method(context, &args)))).await?
        });
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

fn encode<R: Serialize>(answer: RpcResult<R>) -> Result<Box<RawValue>, ErrorObjectOwned> {
    let answer = answer?;
    to_raw_value(&answer).map_err(|why| crate::error::RpcError::from(BackendError::Internal(why.to_string())).into())
}
