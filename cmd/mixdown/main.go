// Mixdown captures rooms: it mixes what is said, publishes the mix and
// records it in segments. This command is the daemon and everything one does
// with it: serve, record, token, verify, remix, decrypt, doctor, demo.
//
// It alone reads flags and the environment, and wires the parts together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"mixdown/configs"
)

// version is what /openapi.json and --version say.
const version = "0.1.0"

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // for verify: could not check
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, process{os.Args[1:], os.Environ(), os.Stdout, os.Stderr}))
}

// process is what a command may see of the outside.
type process struct {
	args    []string
	environ []string
	stdout  io.Writer
	stderr  io.Writer
}

// cli is the command line.
type cli struct {
	Version    kong.VersionFlag          `help:"Print the version."`
	Serve      serveCommand              `cmd:"" help:"Run the daemon."`
	Record     recordCommand             `cmd:"" help:"Capture a room through a running daemon."`
	Token      tokenCommand              `cmd:"" help:"Print a room login token."`
	Audit      auditCommand              `cmd:"" help:"Check the log of acts."`
	Verify     verifyCommand             `cmd:"" help:"Check one recording: exit 0 intact, 1 broken, 2 could not check."`
	Rebuild    rebuildCommand            `cmd:"" help:"Make the manifest of a recording again from its segments."`
	Keys       keysCommand               `cmd:"" help:"Print the public keys of recordings' signatures, or make a new key."`
	Remix      remixCommand              `cmd:"" help:"Mix a recording again from its streams' own files."`
	Decrypt    decryptCommand            `cmd:"" help:"Write an encrypted recording in the clear."`
	Erase      eraseCommand              `cmd:"" help:"Erase a user's voice from an encrypted recording: destroy its keys, make the mix anew."`
	Doctor     doctorCommand             `cmd:"" help:"Look for what would keep the daemon from recording."`
	Completion kongcompletion.Completion `cmd:"" help:"Say how the shell completes commands and flags."`
	Demo       demoCommand               `cmd:"" help:"Show the whole job in half a minute, offline."`
}

// exitError carries an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// run runs one command and returns the exit code.
func run(ctx context.Context, p process) (code int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("mixdown"),
		kong.Description("Captures rooms: mixes, republishes and records what is said."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.Vars{"version": version},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(p),
	)
	if err != nil {
		panic("mixdown: command line: " + err.Error())
	}
	kongcompletion.Register(parser) // answers and exits if the shell asks
	kctx, err := parser.Parse(p.args)
	if exited >= 0 { // --help, --version
		return exited
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "mixdown: %v\n%s\n", err, usage(err))
		return exitUsage
	}
	err = kctx.Run()
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		fmt.Fprintf(p.stderr, "mixdown: %v\n", coded.err)
		return coded.code
	}
	fmt.Fprintf(p.stderr, "mixdown: %v\n", err)
	return exitFailed
}

// usage says where help for a command line that is wrong is found.
func usage(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		if command := wrong.Context.Selected(); command != nil {
			return "mixdown " + command.Name + " --help shows its flags"
		}
	}
	return "mixdown --help shows the commands"
}

// environment is the value of a variable.
func (p process) environment(name string) string {
	for _, e := range p.environ {
		if len(e) > len(name) && e[:len(name)] == name && e[len(name)] == '=' {
			return e[len(name)+1:]
		}
	}
	return ""
}

// settings are the flags that set keys of the configuration.
type settings struct {
	Config string `help:"Configuration file (YAML)." placeholder:"FILE"`
	Listen string `help:"Address of HTTP." placeholder:"ADDR"`
	UDP    string `name:"udp" help:"Address of the media port." placeholder:"ADDR"`
	Data   string `help:"Data folder." placeholder:"DIR"`
}

// load reads the configuration: defaults, file, environment, flags.
func (s settings) load(p process) (configs.Config, error) {
	file := s.Config
	if file == "" {
		file = p.environment("MIXDOWN_CONFIG")
	}
	c, err := configs.Load(file, p.environ)
	if err != nil {
		return c, err
	}
	for flag, key := range map[*string]*string{&s.Listen: &c.Listen, &s.UDP: &c.UDP, &s.Data: &c.Data} {
		if *flag != "" {
			*key = *flag
		}
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	return c, nil
}

func newLog(w io.Writer, c configs.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
