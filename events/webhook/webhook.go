// Package webhook carries the log of events to HTTP endpoints, signed as the
// Standard Webhooks specification says.
package webhook
