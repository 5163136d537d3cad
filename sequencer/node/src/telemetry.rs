//! Logs and metrics of the process.

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogConfig, MetricsConfig};

/// Starts logging to standard error. Call once.
///
/// # Errors
/// The filter is malformed, or logging has been started already.
pub fn start_logs(config: &LogConfig) -> eyre::Result<()> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    if config.json {
        registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()?;
    } else {
        registry.with(fmt::layer().with_writer(std::io::stderr)).try_init()?;
    }
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
