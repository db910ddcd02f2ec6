package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"mixdown/rooms/signal"
)

// fault makes an error for a client: a code and a sentence.
func fault(code int, format string, args ...any) *signal.Error {
	return &signal.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// request is one JSON-RPC request or client notification.
type request struct {
	c       *connection
	id      json.RawMessage // nil for a notification: no answer is sent
	method  string
	params  json.RawMessage
	replied bool
}

// reply queues the result. Handlers call it before they queue notifications
// that follow from it, usually under the lock.
func (q *request) reply(result any) {
	q.replied = true
	if q.id != nil {
		q.c.send(encode(signal.Message{ID: q.id, Result: encodeParams(result)}))
	}
}

func (q *request) refuse(e *signal.Error) {
	q.replied = true
	if q.id != nil {
		q.c.send(encode(signal.Message{ID: q.id, Error: e}))
	}
}

// empty is the result of most methods.
type empty struct{}

// serve answers one message, which is valid JSON and no array. It reports
// whether the connection may go on.
func (c *connection) serve(ctx context.Context, data []byte) bool {
	q, f := c.parse(data)
	if f != nil {
		q.refuse(f)
		return c.punish(f)
	}
	err := q.call(ctx)
	if err == nil {
		return true
	}
	var refused *signal.Error
	if !errors.As(err, &refused) {
		c.s.log.Error("request", "method", q.method, "error", err)
		refused = fault(signal.CodeInternal, "%s could not be done", q.method)
	}
	if !q.replied {
		q.refuse(refused)
	}
	return c.punish(refused)
}

// punish counts an error that a sound client does not cause.
func (c *connection) punish(f *signal.Error) bool {
	switch f.Code {
	case signal.CodeParse, signal.CodeInvalidRequest, signal.CodeMethodNotFound, signal.CodeInvalidParams:
		if !c.faults.Allow() {
			c.flood()
			return false
		}
	case signal.CodeTokenAuthFailed, signal.CodeTokenFormat:
		if c.denials++; c.denials >= maxDenials {
			c.flood()
			return false
		}
	}
	return true
}

func (c *connection) parse(data []byte) (*request, *signal.Error) {
	q := &request{c: c, id: json.RawMessage("null")}
	var m struct {
		Version *string         `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  *string         `json:"method"`
		Params  json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return q, fault(signal.CodeInvalidRequest, "the message is not a JSON-RPC request: %s", describe(err, ""))
	}
	if len(m.ID) > 0 {
		if m.ID[0] == '{' || m.ID[0] == '[' || m.ID[0] == 't' || m.ID[0] == 'f' || len(m.ID) > 256 {
			return q, fault(signal.CodeInvalidRequest, "id must be a short string or a number")
		}
		q.id = m.ID
	}
	switch {
	case m.Version == nil || *m.Version != "2.0":
		return q, fault(signal.CodeInvalidRequest, `jsonrpc must be "2.0"`)
	case m.Method == nil:
		return q, fault(signal.CodeInvalidRequest, "method is missing")
	}
	if len(m.ID) == 0 {
		q.id = nil
	}
	q.method, q.params = *m.Method, m.Params
	return q, nil
}

func (q *request) call(ctx context.Context) error {
	c := q.c
	switch q.method {
	case signal.LoginRoom:
		return c.loginRoom(ctx, q)
	case signal.LogoutRoom:
		return c.logoutRoom(q)
	case signal.RenewToken:
		return c.renewToken(ctx, q)
	case signal.StartPublishing:
		return c.startPublishing(ctx, q)
	case signal.StopPublishing:
		return c.stopPublishing(q)
	case signal.StartPlaying:
		return c.startPlaying(q)
	case signal.StopPlaying:
		return c.stopPlaying(q)
	case signal.Answer:
		return c.answer(q)
	case signal.SetStreamExtraInfo:
		return c.setStreamExtraInfo(q)
	case signal.SetRoomExtraInfo:
		return c.setRoomExtraInfo(q)
	case signal.SendBroadcastMessage:
		return c.sendBroadcastMessage(q)
	case signal.SendBarrageMessage:
		return c.sendBarrageMessage(q)
	case signal.SendCustomCommand:
		return c.sendCustomCommand(q)
	}
	name := q.method
	if len(name) > 64 {
		name = name[:64] + "…"
	}
	return fault(signal.CodeMethodNotFound, "there is no method %q", name)
}

// decode reads the params of a request. Missing params are empty ones; what
// must not be empty is checked by who needs it.
func decode[T any](q *request) (T, error) {
	var v T
	if len(q.params) == 0 || string(q.params) == "null" {
		return v, nil
	}
	if err := json.Unmarshal(q.params, &v); err != nil {
		return v, fault(signal.CodeInvalidParams, "%s: %s", q.method, describe(err, "params"))
	}
	return v, nil
}

// describe says in the client's terms what was wrong with its JSON.
func describe(err error, where string) string {
	var t *json.UnmarshalTypeError
	if !errors.As(err, &t) {
		return "it cannot be read"
	}
	field := where
	if t.Field != "" {
		if field != "" {
			field += "."
		}
		field += t.Field
	}
	if field == "" {
		field = "the message"
	}
	return fmt.Sprintf("%s must be %s, not %s", field, kindOf(t), t.Value)
}
