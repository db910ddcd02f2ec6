#!/bin/sh
# Makes the voices of package speech again: speech/alice.ogg, bob.ogg and
# carol.ogg. Needs espeak-ng, sox and ffmpeg with libopus. Tools of the same
# versions give the same files.
set -eu

speech=$(cd "$(dirname "$0")/../speech" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# say NAME VOICE PITCH WORDS-PER-MINUTE TEXT
#
# The peak is brought to -6 dBFS, so that three at once do not need the
# limiter. In-band FEC is on, as it is in browsers; 20 ms to a packet.
say() {
	espeak-ng -v "$2" -p "$3" -s "$4" -w "$work/$1.wav" "$5"
	sox -R "$work/$1.wav" -b 16 -r 48000 -c 1 "$work/$1-48k.wav" gain -n -6 rate -v
	ffmpeg -nostdin -loglevel error -y -i "$work/$1-48k.wav" -map_metadata -1 \
		-c:a libopus -b:a 32k -vbr on -application voip -frame_duration 20 -fec 1 -packet_loss 10 \
		-fflags +bitexact -flags:a +bitexact "$speech/$1.ogg"
}

say alice en-us+f3 62 175 "Good morning everybody, and thank you for coming. \
Today I would like to talk about the garden behind the old library. \
The apple trees have grown well this year, but the path is broken in two places. \
If the weather stays dry, we could mend it on Saturday, and plant the roses in the afternoon. \
Who has time to bring a spade and some gloves?"

say bob en-gb+m3 35 150 "Hello, this is Bob. I can bring two spades and the big wheelbarrow from the farm. \
The bridge is closed until noon, so I will take the road along the river. \
Please keep a cup of tea warm for me. \
My neighbour has seven bags of gravel left over, and he says we may have them all."

say carol en-gb-scotland+f5 50 178 "Carol here. I counted the roses last night: eleven red ones, nine white ones, and a yellow one that nobody ordered. \
My sister knows a man who repairs walls, and he owes her a favour. \
We should also ask the school, because the children painted the benches in spring and would love to help. \
Shall I write a short note and hang it up at the bakery?"
