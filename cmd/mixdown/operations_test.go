package main

import (
	"archive/zip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mixdown/configs"
	"mixdown/doctor"
)

var metricName = regexp.MustCompile(`mixdown_[a-z0-9_]+`)

// TestDashboardsNameRealMetrics: what the alerts, the dashboard and the manual
// name is what a daemon with a capture shows, and the manual names all of it.
func TestDashboardsNameRealMetrics(t *testing.T) {
	t.Parallel()
	h := startHere(t, func(c *configs.Config) { // nobody is there to take its events
		c.Webhooks = map[string]configs.Webhook{"away": {URL: "https://webhook.invalid/", Secret: "whsec_" + strings.Repeat("A", 32)}}
	})
	h.join("r", "ann", tone(t, 440))
	h.ask("PUT", "/v1/captures/a", spec("r")).ok(201)
	shown := map[string]bool{}
	eventually(t, "the capture is among the metrics", 10*time.Second, func() bool {
		for name := range parseMetrics(t, h.askAs("", "GET", "/metrics", nil).ok(200).body) {
			shown[metricName.FindString(name)] = true
		}
		return shown["mixdown_output_durable_samples"]
	})
	for _, file := range []string{"configs/prometheus.rules.yml", "configs/grafana-dashboard.json", "docs/operations.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		named := metricName.FindAllString(string(text), -1)
		if len(named) < 5 {
			t.Errorf("%s names %d metrics", file, len(named))
		}
		for _, name := range named {
			if !shown[name] {
				t.Errorf("%s names %s, which the daemon does not show", file, name)
			}
		}
		if file != "docs/operations.md" {
			continue
		}
		for name := range shown {
			if name != "" && !slices.Contains(named, name) {
				t.Errorf("%s does not explain %s", file, name)
			}
		}
	}
}

// unzipped is everything in a ZIP file.
func unzipped(t testing.TB, name string) string {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var all strings.Builder
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	return all.String()
}

// TestOperatorsFiles: what stands in configs/ besides the example is of whole
// form.
func TestOperatorsFiles(t *testing.T) {
	t.Parallel()
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("..", "..", "configs", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range []string{"compose.yaml", "prometheus.yml", "prometheus.rules.yml"} {
		var v map[string]any
		if err := yaml.Unmarshal(read(name), &v); err != nil || len(v) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var dashboard struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal(read("grafana-dashboard.json"), &dashboard); err != nil || len(dashboard.Panels) < 10 {
		t.Errorf("dashboard of %d panels: %v", len(dashboard.Panels), err)
	}
	for name, needs := range map[string][]string{
		"mixdown.service": {"NoNewPrivileges=yes", "ProtectSystem=strict", "KillSignal=SIGTERM", "mixdown serve"},
		"Dockerfile":      {"USER mixdown", "bookworm-slim", "libopus0"},
	} {
		for _, s := range needs {
			if !strings.Contains(string(read(name)), s) {
				t.Errorf("%s lacks %s", name, s)
			}
		}
	}
}

// TestDoctor finds a daemon well, a taken port and a dead bucket ill, and its
// bundle holds no secret and no audio.
func TestDoctor(t *testing.T) {
	t.Parallel()
	c := newChild(t)
	c.env = []string{"MIXDOWN_API_KEY=planted-api-key-0123456789"}
	c.start()
	bundle := filepath.Join(t.TempDir(), "bundle.zip")
	env := append(slices.Clone(c.env), "MIXDOWN_LISTEN="+c.http, "MIXDOWN_UDP="+c.udp)
	code, out, errs := commandIn(t, env, "doctor", "--data", c.data, "--bundle", bundle)
	healthy := slowDisk.ReplaceAllString(out, "slow disk") // which the tests beside this one may make it
	if well := healthy == out; (code == exitOK) != well || !strings.Contains(out, "the daemon has it") || strings.Contains(healthy, "fail ") {
		t.Errorf("exit %d:\n%s%s", code, out, errs)
	}
	text := unzipped(t, bundle)
	if strings.Contains(text, "planted") || !strings.Contains(text, "mixdown_captures") || !strings.Contains(text, `apiKey: '***'`) && !strings.Contains(text, "apiKey: ***") && !strings.Contains(text, `apiKey: "***"`) {
		t.Errorf("bundle:\n%.4000s", text)
	}
	dead := append(env, "MIXDOWN_STORAGES_ARCHIVE_TYPE=s3", "MIXDOWN_STORAGES_ARCHIVE_ENDPOINT=http://127.0.0.1:1",
		"MIXDOWN_STORAGES_ARCHIVE_BUCKET=b", "MIXDOWN_STORAGES_ARCHIVE_ACCESS_KEY=a", "MIXDOWN_STORAGES_ARCHIVE_SECRET_KEY=s")
	code, out, _ = commandIn(t, dead, "doctor", "--data", t.TempDir())
	if code != exitFailed || !strings.Contains(out, "in use") || !strings.Contains(out, "unreachable") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	code, out, _ = commandIn(t, env, "doctor", "--data", c.data, "--json")
	var findings []doctor.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil || len(findings) < 8 {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	ill := 0
	for _, f := range findings {
		if f.Verdict == doctor.Failed {
			ill++
			if f.Check != "disk" || !strings.Contains(f.Text, "are durable in") {
				t.Errorf("%s fails: %s", f.Check, f.Text)
			}
		}
	}
	if (code == exitOK) != (ill == 0) {
		t.Errorf("exit %d: %s", code, out)
	}
}

// slowDisk is how doctor says that the disk was too slow, which is nothing but
// the machine's fault.
var slowDisk = regexp.MustCompile(`(?m)^fail +disk +.* are durable in `)

var problemCode = regexp.MustCompile(`newProblem\(http\.Status\w+, "([a-z_]+)"`)

// TestErrorCodesAreDocumented: the manual names every code of the API, and no
// other.
func TestErrorCodesAreDocumented(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "api", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"too_large": true, "unsupported_media_type": true} // found by the framework
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range problemCode.FindAllSubmatch(b, -1) {
			used[string(m[1])] = true
		}
	}
	documented := documentedCodes(t)
	for code := range used {
		if !documented[code] {
			t.Errorf("docs/api.md does not explain %s", code)
		}
	}
	for code := range documented {
		if !used[code] {
			t.Errorf("docs/api.md explains %s, which the API does not use", code)
		}
	}
}

// documentedCodes are those of the table in docs/api.md.
func documentedCodes(t testing.TB) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## Errors\n")
	codes := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			codes[m[1]] = true
		}
	}
	return codes
}
