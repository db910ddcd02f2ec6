package api

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net/http"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mixdown/capture"
	"mixdown/mixer/pcm"
	"mixdown/storage"
)

type liveWSInput struct {
	ID     string   `path:"id" maxLength:"64"`
	Stream string   `query:"stream" doc:"Only this stream."`
	Except []string `query:"except,explode" doc:"Everything but these streams: a mix-minus."`
	Format string   `query:"format" enum:"s16le,f32le" default:"s16le" doc:"Of the samples."`
}

// liveStart is the first message, as text.
type liveStart struct {
	Type     string       `json:"type"` // start
	Rate     int          `json:"rate"`
	Channels int          `json:"channels"`
	Format   string       `json:"format"`
	Samples  int          `json:"samples"` // of each channel in a message
	Start    storage.Time `json:"start"`   // the instant of position 0
}

// liveEnd is the last message, as text.
type liveEnd struct {
	Type    string `json:"type"` // end
	Reason  string `json:"reason"`
	Dropped int64  `json:"dropped"` // frames that did not fit through the connection
}

func (s *server) liveWSRoute() {
	huma.Register(s.api, huma.Operation{
		OperationID: "listen-ws", Method: http.MethodGet, Path: "/v1/captures/{id}/live/ws",
		Summary: "Listen over WebSocket: PCM frames of 20 ms with their positions",
		Description: "The first message is JSON text: {type:\"start\", rate, channels, format, samples, start}. Each binary message is 20 ms: eight bytes, the " +
			"position of its first sample as an unsigned little-endian number, then samples of all channels in turn, little-endian. Position n is the " +
			"instant start + n/48000, when it was mixed. A reader that is slow loses frames: positions jump, and the last message, {type:\"end\", reason, dropped}, has their number.",
		Responses: map[string]*huma.Response{"101": {Description: "WebSocket"}},
		Errors:    []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUpgradeRequired, http.StatusUnprocessableEntity},
	}, s.listenWS)
}

// listenWS sends PCM until the listener goes away or the capture ends.
func (s *server) listenWS(_ context.Context, in *liveWSInput) (*huma.StreamResponse, error) {
	c, err := s.Captures.Get(in.ID)
	if err != nil {
		return nil, problemOf(err)
	}
	sel := capture.Selection{Stream: in.Stream, Except: in.Except}
	if err := c.CanListen(sel); err != nil {
		return nil, listenProblem(err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Upgrade", "websocket")
			newProblem(http.StatusUpgradeRequired, "upgrade_required", "this is a WebSocket; /v1/captures/%s/live is the same as Ogg Opus", in.ID).serve(w)
			return
		}
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // it has answered
		}
		defer ws.CloseNow()
		if err := sendLive(ws.CloseRead(ctx.Context()), ws, c, sel, in.Format); err != nil {
			s.Log.Debug("live frames ended", "capture", in.ID, "err", err)
		}
	}}, nil
}

func sendLive(ctx context.Context, ws *websocket.Conn, c *capture.Capture, sel capture.Selection, format string) error {
	timed := func(send func(context.Context) error) error {
		ctx, cancel := context.WithDeadline(ctx, deadline())
		defer cancel()
		return send(ctx)
	}
	var channels int
	buf := make([]byte, 0, 8+2*4*pcm.FrameSize)
	start := func(p capture.PCMStart) error {
		channels = p.Channels
		return timed(func(ctx context.Context) error {
			return wsjson.Write(ctx, ws, liveStart{"start", pcm.Rate, channels, format, pcm.FrameSize, p.Start})
		})
	}
	dropped, err := c.ListenPCM(ctx, sel, start, func(sample int64, f *pcm.Frame) error {
		buf = binary.LittleEndian.AppendUint64(buf[:0], uint64(sample))
		buf = appendPCM(buf, f, channels, format)
		return timed(func(ctx context.Context) error { return ws.Write(ctx, websocket.MessageBinary, buf) })
	})
	if !errors.Is(err, capture.ErrEnded) {
		return err
	}
	end := liveEnd{"end", "the capture has ended", dropped}
	if err := timed(func(ctx context.Context) error { return wsjson.Write(ctx, ws, end) }); err != nil {
		return err
	}
	return ws.Close(websocket.StatusNormalClosure, end.Reason)
}

// appendPCM appends a frame's samples; of one channel they are the mean of two.
func appendPCM(b []byte, f *pcm.Frame, channels int, format string) []byte {
	for _, s := range f {
		all := s[:]
		if channels == 1 {
			all = []float32{(s[0] + s[1]) / 2}
		}
		for _, x := range all {
			if format == "f32le" {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			} else {
				b = binary.LittleEndian.AppendUint16(b, uint16(int16(math.Round(float64(min(max(x, -1), 1))*math.MaxInt16))))
			}
		}
	}
	return b
}
