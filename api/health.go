package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mixdown/access"
	"mixdown/capacity"
	"mixdown/capture"
)

// healthRoutes adds what operators' machines ask. They need no key on
// loopback.
func (s *server) healthRoutes(mux *http.ServeMux) {
	mux.Handle("GET /healthz", s.local(anybody, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	}))
	mux.Handle("GET /readyz", s.local(anybody, func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Ready(); err != nil {
			newProblem(http.StatusServiceUnavailable, "not_ready", "%s", err).serve(w)
			return
		}
		fmt.Fprintln(w, "ready")
		if err := s.Retention.Trouble(); err != nil { // who cannot delete records all the same
			fmt.Fprintln(w, "trouble:", err)
		}
	}))
	register(s, http.MethodGet, "/v1/capacity", "capacity", "How much more can be captured on this machine", s.capacity)
	s.Metrics.MustRegister(&collector{s})
	metrics := promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})
	mux.Handle("GET /metrics", s.local(operator, metrics.ServeHTTP))
}

type capacityOutput struct{ Body capacity.State }

func (s *server) capacity(context.Context, *struct{}) (*capacityOutput, error) {
	return &capacityOutput{s.Capacity.State()}, nil
}

func anybody(access.Principal) *problem { return nil }

// operator lets those through who may know of all rooms: metrics name captures.
func operator(p access.Principal) *problem {
	switch {
	case !p.Has(access.Operate):
		return forbid(p, access.Operate)
	case !p.Everywhere():
		return newProblem(http.StatusForbidden, "foreign_room", "metrics concern all rooms; key %s is for %s only", p.ID, strings.Join(p.Rooms, ", "))
	}
	return nil
}

// local lets requests from this machine through without a key, and others with
// one that may.
func (s *server) local(may func(access.Principal) *problem, f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			p, ok := s.identify(w, r)
			if !ok {
				return
			}
			if refused := may(p); refused != nil {
				refused.serve(w)
				return
			}
		}
		f(w, r)
	})
}

// collector reads the daemon's counters when Prometheus asks.
type collector struct{ s *server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mixdown_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector: the metrics are unchecked, for
// their labels come and go.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	states := map[capture.State]int{}
	streams, trouble := 0, 0
	now, lag := time.Now(), 0.0
	for _, cap := range c.s.Captures.List() {
		st := cap.Status()
		states[st.State]++
		if st.Trouble != "" {
			trouble++
		}
		if st.State.Ended() {
			continue
		}
		for _, s := range st.Streams {
			if s.Present {
				streams++
			}
		}
		for _, o := range st.Outputs {
			if o.DurableTo != nil {
				lag = max(lag, now.Sub(o.DurableTo.Time).Seconds())
				gauge(desc("output_durable_samples", "Sample of its recording up to which an output is safe from a kill and a power cut.", "capture", "output"),
					float64(o.DurableSample), st.ID, o.ID)
			}
		}
	}
	fsyncs, took := c.s.Captures.Flushed()
	gauge(desc("durable_lag_seconds", "How far the least safe output of a running capture is behind the present."), lag)
	counter(desc("journal_fsyncs_total", "Fsyncs of the journals of all captures that run."), float64(fsyncs))
	gauge(desc("journal_flush_seconds", "How long the last flush of all journals took."), took.Seconds())
	for _, state := range capture.States() {
		gauge(desc("captures", "Captures by state.", "state"), float64(states[state]), string(state))
	}
	gauge(desc("captures_in_trouble", "Captures that an operator must help."), float64(trouble))
	gauge(desc("captured_streams", "Streams that captures hear now."), float64(streams))
	cp := c.s.Capacity.State()
	gauge(desc("load", "CPU time of the daemon over that of its processors, 0 to 1."), cp.Load)
	gauge(desc("stream_cost_seconds", "CPU time that a captured stream costs per second."), cp.CostUS/1e6)
	gauge(desc("free_streams", "Streams that could be captured besides."), float64(cp.FreeStreams))
	gauge(desc("rooms", "Open rooms of the embedded room service."), float64(len(c.s.Rooms.Rooms())))
	c.s.collectSpool(gauge, counter)
	c.s.collectRetention(gauge)
	c.s.collectEvents(gauge, counter)
}
