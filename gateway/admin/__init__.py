"""The private listener: health, metrics, dashboard and API; start at `gateway.admin.listener`."""
