package peer

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// loggers gives WebRTC a voice in slog. A remote that breaks rules is no event
// for an operator, so pion's errors become warnings and its warnings debug
// messages; the rest is chatter.
type loggers struct{ log *slog.Logger }

func (l loggers) NewLogger(scope string) logging.LeveledLogger {
	if l.log == nil {
		return logger{slog.New(slog.DiscardHandler)}
	}
	return logger{l.log.With("webrtc", scope)}
}

type logger struct{ log *slog.Logger }

func (l logger) Trace(string)          {}
func (l logger) Tracef(string, ...any) {}
func (l logger) Debug(string)          {}
func (l logger) Debugf(string, ...any) {}
func (l logger) Info(string)           {}
func (l logger) Infof(string, ...any)  {}
func (l logger) Warn(msg string)       { l.log.Debug(msg) }
func (l logger) Error(msg string)      { l.log.Warn(msg) }

func (l logger) Warnf(format string, args ...any)  { l.printf(slog.LevelDebug, format, args) }
func (l logger) Errorf(format string, args ...any) { l.printf(slog.LevelWarn, format, args) }

func (l logger) printf(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}
