package main

import (
	"fmt"
	"os"

	"mixdown/audit"
	"mixdown/configs"
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
