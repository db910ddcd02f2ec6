package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mixdown/capture"
	"mixdown/configs"
	"mixdown/encoder"
)

// remixCommand is mixdown remix.
type remixCommand struct {
	Recording string             `arg:"" help:"Folder of the recording, or s3://BUCKET/PREFIX." placeholder:"PATH"`
	Out       string             `help:"File to write; its ending says the format: wav, flac or ogg." required:"" placeholder:"FILE"`
	Gain      map[string]float64 `help:"Gain of a stream or user in dB." placeholder:"ID=DB"`
	Include   []string           `help:"Only these streams or users." placeholder:"ID"`
	Exclude   []string           `help:"All but these streams or users." placeholder:"ID"`
	Level     float64            `help:"Loudness to level speech to, in LUFS." placeholder:"LUFS"`
	Mono      bool               `help:"One channel."`
	Identity  string             `help:"File with the private key (age identity) of a recipient of an encrypted recording." placeholder:"FILE"`
	Config    string             `help:"Configuration file, for the bucket's endpoint and keys." env:"MIXDOWN_CONFIG" placeholder:"FILE"`
}

// Run mixes a recording again.
func (r *remixCommand) Run(ctx context.Context, p process) error {
	format := strings.TrimPrefix(filepath.Ext(r.Out), ".")
	if _, ok := encoder.Ext(format); !ok {
		return &exitError{exitUsage, fmt.Errorf("remix: --out %s: the ending must be .wav, .flac or .ogg", r.Out)}
	}
	c, err := configs.Load(r.Config, p.environ)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	b, prefix, _, err := (&verifyCommand{Recording: r.Recording}).open(c, p)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ring, err := unlock(ctx, b, prefix, r.Identity)
	if err != nil {
		return fmt.Errorf("remix: %w", err)
	}
	if ring != nil {
		b = ring
	}
	mix := capture.MixSpec{Gains: r.Gain, Include: r.Include, Exclude: r.Exclude, Level: r.Level}
	if r.Mono {
		mix.Channels = 1
	}
	out := &oneFile{name: r.Out}
	if err := capture.Remix(ctx, b, prefix, mix, encoder.Config{Format: format}, out); err != nil {
		return errors.Join(err, out.abandon())
	}
	fmt.Fprintf(p.stdout, "%s: %.2f s\n", r.Out, float64(out.samples)/48000)
	return nil
}

// oneFile is the encoder.Store of a single file. It gets its name when it is
// whole.
type oneFile struct {
	name    string
	file    *os.File
	samples int64
}

// Create implements encoder.Store.
func (o *oneFile) Create(encoder.Segment) (encoder.File, error) {
	if o.file != nil {
		return nil, io.ErrClosedPipe // a file without end has one segment
	}
	f, err := os.CreateTemp(filepath.Dir(o.name), "."+filepath.Base(o.name)+"-*")
	o.file = f
	return f, err
}

// Commit implements encoder.Store.
func (o *oneFile) Commit(_ encoder.File, s encoder.Segment) error {
	o.samples = s.Samples
	if err := errors.Join(o.file.Chmod(0o644), o.file.Sync(), o.file.Close()); err != nil {
		return err
	}
	return os.Rename(o.file.Name(), o.name)
}

// abandon removes what is not whole.
func (o *oneFile) abandon() error {
	if o.file == nil {
		return nil
	}
	return errors.Join(o.file.Close(), os.Remove(o.file.Name()))
}
