//! Logs and metrics of the process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::{EnvFilter, Registry, fmt, prelude::*, reload};

use crate::config::{LogConfig, MetricsConfig};

/// The filter in force; like the subscriber itself, there is one in a process.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The filter of the logs; empty where logging has not been started.
#[must_use]
pub fn log_filter() -> String {
    FILTER.get().and_then(|filter| filter.with_current(ToString::to_string).ok()).unwrap_or_default()
}

/// Changes the filter of the logs until the process ends.
///
/// # Errors
/// The filter is malformed, or logging has not been started.
pub fn set_log_filter(filter: &str) -> eyre::Result<()> {
    let new = EnvFilter::try_new(filter)?;
    let handle = FILTER.get().ok_or_else(|| eyre::eyre!("logging has not been started"))?;
    handle.reload(new)?;
    tracing::info!(filter, "log filter changed");
    Ok(())
}

/// Starts logging to standard error. Call once.
///
/// # Errors
/// The filter is malformed, or logging has been started already.
pub fn start_logs(config: &LogConfig) -> eyre::Result<()> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&config.filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    if config.json {
        registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()?;
    } else {
        registry.with(fmt::layer().with_writer(std::io::stderr)).try_init()?;
    }
    // The subscriber could be set, so this is the first call.
    let _first = FILTER.set(handle);
    Ok(())
}

/// Starts the Prometheus endpoint, if one is configured. Needs a tokio runtime.
///
/// # Errors
/// The port is taken.
pub fn start_metrics(config: &MetricsConfig) -> eyre::Result<()> {
    if let Some(listen) = config.listen {
        PrometheusBuilder::new().with_http_listener(listen).install()?;
        metrics::gauge!("horae_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    }
    Ok(())
}
