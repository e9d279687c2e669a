"""The service's API over HTTP: requests, retries, errors, circuit breaker. Knows no endpoint."""
