package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"mixdown/audit"
	"mixdown/configs"
	"mixdown/storage"
)

// auditCommand is mixdown audit.
type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Check a log of acts: exit 0 intact, 1 broken, 2 could not check."`
}

// auditVerifyCommand is mixdown audit verify.
type auditVerifyCommand struct {
	Log       string `arg:"" help:"An export of the log, or the folder <data>/audit." placeholder:"PATH"`
	PublicKey string `help:"File with the public keys that may have signed it; default: the data folder's." placeholder:"FILE"`
	Config    string `help:"Configuration file, for the data folder." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
}

// Run checks a log of acts, offline.
func (v *auditVerifyCommand) Run(p process) error {
	c, err := configs.Load(v.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	keys, err := (&verifyCommand{PublicKey: v.PublicKey}).keys(c)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	report, err := verifyAudit(v.Log, keys)
	for _, problem := range report.Problems {
		fmt.Fprintf(p.stdout, "broken: %s\n", problem)
	}
	for _, n := range report.Notes {
		fmt.Fprintf(p.stdout, "note: %s\n", n)
	}
	switch {
	case len(report.Problems) > 0:
		return &exitError{exitFailed, fmt.Errorf("audit verify: broken: %d problems in %s", len(report.Problems), v.Log)}
	case err != nil:
		return &exitError{exitUsage, fmt.Errorf("audit verify: could not check %s: %w", v.Log, err)}
	}
	fmt.Fprintf(p.stdout, "audit verify: intact: %d entries, up to %d, SHA-256 %s\n", report.Entries, report.Head.Seq, report.Head.Hash)
	return nil
}

// verifyAudit checks a folder or an export.
func verifyAudit(path string, keys []string) (audit.Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return audit.Report{}, err
	}
	if info.IsDir() {
		return audit.VerifyDir(path, keys)
	}
	f, err := os.Open(path)
	if err != nil {
		return audit.Report{}, err
	}
	defer f.Close()
	return audit.VerifyExport(f, keys)
}

// deed is something that a command does to the daemon's recordings by itself.
type deed struct {
	Operation string            `json:"operation"`
	Object    string            `json:"object"`
	Outcome   string            `json:"outcome,omitempty"`
	Details   map[string]string `json:"details"`
}

// writtenDown runs a deed that begins and ends in the daemon's log of acts: by
// the daemon if one runs, else by us. What cannot be written down is not done.
func writtenDown(ctx context.Context, p process, c configs.Config, key *storage.Key, d deed, do func() error) error {
	dir := filepath.Join(c.Data, "audit")
	unlock, err := audit.Lock(dir)
	if errors.Is(err, audit.ErrInUse) {
		return toldDaemon(ctx, p, c, d, do)
	}
	if err != nil {
		return err
	}
	defer unlock()
	log, err := audit.Open(audit.Config{Dir: dir, Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer log.Close()
	act, err := log.Begin(audit.With(ctx, audit.Who{Actor: operator()}), d.Operation, d.Object)
	if err != nil {
		return err
	}
	for name, value := range d.Details {
		act.Note(name, value)
	}
	err = do()
	return errors.Join(err, act.End(outcomeOf(err), 0))
}

// toldDaemon has the running daemon write the deed down.
func toldDaemon(ctx context.Context, p process, c configs.Config, d deed, do func() error) error {
	daemon, err := remote{Data: c.Data, Key: c.APIKey}.connect(p)
	if err != nil {
		return err
	}
	if err := daemon.call(ctx, http.MethodPost, "/v1/audit", d, nil); err != nil {
		return fmt.Errorf("it cannot be written to the log of acts: %w", err)
	}
	err = do()
	d.Outcome = outcomeOf(err)
	return errors.Join(err, daemon.call(context.WithoutCancel(ctx), http.MethodPost, "/v1/audit", d, nil))
}

func outcomeOf(err error) string {
	if err != nil {
		return err.Error()
	}
	return audit.OK
}
