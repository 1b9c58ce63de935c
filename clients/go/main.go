// Bare is a level 1 client of layby in Go: it pushes one message, polls as a group, prints what it
// got and acks it. It is written from PROTOCOL.md alone and uses none of layby's code, so take it
// as the start of a client of your own.
//
//	go run . tcp://127.0.0.1:5577 app.web bare "GET /index.html 200"
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/vmihailenco/msgpack/v5"
)

const (
	waitMs   = 5_000
	patience = (waitMs + 2_000) * time.Millisecond // duty 1: wait longer than wait_ms
)

type fields map[string]any

// answer holds what level 1 needs of any answer; msgpack leaves out the rest (duty 2).
type answer struct {
	Ok        bool    `msgpack:"ok"`
	Boot      int64   `msgpack:"boot"`
	Code      string  `msgpack:"code"`
	Retryable bool    `msgpack:"retryable"`
	RetryMs   int64   `msgpack:"retry_ms"`
	Text      string  `msgpack:"text"`
	First     int64   `msgpack:"first"`
	Count     int64   `msgpack:"count"`
	Leases    []lease `msgpack:"leases"`
	Refused   []struct {
		Lease  []byte  `msgpack:"lease"`
		Ranges []int64 `msgpack:"ranges"`
		Code   string  `msgpack:"code"`
	} `msgpack:"refused"`
	Why string `msgpack:"why"`

	blocks [][]byte
}

type lease struct {
	Lease  []byte  `msgpack:"lease"`
	Topic  string  `msgpack:"topic"`
	Lane   string  `msgpack:"lane"`
	Ranges []int64 `msgpack:"ranges"`
}

// client is one connection with one request at a time.
type client struct {
	socket   zmq4.Socket
	messages chan zmq4.Msg
	failed   chan error
}

func dial(endpoint string) (*client, error) {
	socket := zmq4.NewDealer(context.Background())
	if err := socket.Dial(endpoint); err != nil {
		return nil, err
	}
	c := &client{socket, make(chan zmq4.Msg), make(chan error, 1)}
	go c.receive()
	return c, nil
}

func (c *client) receive() {
	for {
		message, err := c.socket.Recv()
		if err != nil {
			c.failed <- err
			return
		}
		c.messages <- message
	}
}

// ask sends one request and waits for its answer. A time-out means unknown, never failed.
func (c *client) ask(request fields) (*answer, error) {
	packed, err := msgpack.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := c.socket.Send(zmq4.NewMsg(packed)); err != nil {
		return nil, err
	}
	select {
	case message := <-c.messages:
		got := &answer{blocks: message.Frames[1:]}
		if err := msgpack.Unmarshal(message.Frames[0], got); err != nil {
			return nil, err
		}
		return got, nil
	case err := <-c.failed:
		return nil, err
	case <-time.After(patience):
		return nil, errors.New("no answer: the outcome is unknown")
	}
}

// insist asks until the broker agrees, as long as it says that this may help.
func (c *client) insist(request fields) (*answer, error) {
	for {
		got, err := c.ask(request)
		if err != nil || got.Ok {
			return got, err
		}
		if !got.Retryable {
			return nil, fmt.Errorf("%s: %s", got.Code, got.Text)
		}
		time.Sleep(time.Duration(max(got.RetryMs, 10)) * time.Millisecond)
	}
}

// messages takes the bodies out of a block: PROTOCOL.md, section 6. It looks at the lengths and the
// bodies only, and trusts neither.
func messages(block []byte) ([][]byte, error) {
	if len(block) < 48 || string(block[:6]) != "LBK1\x01\x00" {
		return nil, errors.New("not a block of version 1")
	}
	sum := crc32.Update(crc32.ChecksumIEEE(block[:8]), crc32.IEEETable, block[12:])
	if sum != binary.LittleEndian.Uint32(block[8:]) {
		return nil, errors.New("the block is damaged")
	}
	count, size := u32(block, 12), u32(block, 44)
	if 48+4*count+size > len(block) {
		return nil, errors.New("the block is too short for its lengths and bodies")
	}
	bodies := block[len(block)-size:]
	found := make([][]byte, count)
	for i := range found {
		length := u32(block, 48+4*i)
		if length > len(bodies) {
			return nil, errors.New("the lengths exceed the bodies")
		}
		found[i], bodies = bodies[:length], bodies[length:]
	}
	return found, nil
}

func u32(block []byte, at int) int {
	return int(binary.LittleEndian.Uint32(block[at:]))
}

func run(endpoint, topic, group, data string) error {
	c, err := dial(endpoint)
	if err != nil {
		return err
	}
	defer c.socket.Close()

	pushed, err := c.insist(fields{"op": "push", "topic": topic, "data": []byte(data)})
	if err != nil {
		return err
	}
	fmt.Printf("pushed %d message at %d\n", pushed.Count, pushed.First)

	polled, err := c.insist(fields{
		"op": "poll", "group": group, "topics": []string{topic},
		"messages": 100, "bytes": 1 << 20, "wait_ms": waitMs,
	})
	if err != nil {
		return err
	}
	for i, held := range polled.Leases {
		if err := c.work(group, held, polled.blocks[i]); err != nil {
			return err
		}
	}
	return nil
}

// work prints the messages of one lease and acks them.
func (c *client) work(group string, held lease, block []byte) error {
	found, err := messages(block)
	if err != nil {
		return err
	}
	for _, message := range found {
		fmt.Printf("%s %s\n", held.Topic, message)
	}
	settled, err := c.insist(fields{"op": "settle", "group": group, "settle": []fields{
		{"lease": held.Lease, "ranges": held.Ranges, "outcome": "ack"},
	}})
	if err != nil {
		return err
	}
	fmt.Printf("acked %v, %d refused\n", held.Ranges, len(settled.Refused))
	return nil
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: bare ENDPOINT TOPIC GROUP DATA")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
