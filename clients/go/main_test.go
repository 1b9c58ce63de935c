package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

type vector struct {
	Name      string   `json:"name"`
	FramesHex []string `json:"frames_hex"`
	Decoded   struct {
		Messages []struct {
			Data struct {
				Hex string `json:"hex"`
			} `json:"data"`
		} `json:"messages"`
	} `json:"decoded"`
	Code string `json:"code"`
}

var run64 = regexp.MustCompile(`\((..)\*(\d+)\)`)

// unhex reads the notation of the vectors: (xx*n) is n times the byte xx.
func unhex(t *testing.T, text string) []byte {
	long := run64.ReplaceAllStringFunc(text, func(found string) string {
		parts := run64.FindStringSubmatch(found)
		times, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], times)
	})
	data, err := hex.DecodeString(long)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBlocksOfTheVectors(t *testing.T) {
	text, err := os.ReadFile("../protocol/vectors/blocks.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) { judge(t, v) })
	}
}

func judge(t *testing.T, v vector) {
	found, err := messages(unhex(t, v.FramesHex[0]))
	if v.Code != "" {
		return // it did not panic: a reader need not look at columns it has no use for
	}
	if err != nil || len(found) != len(v.Decoded.Messages) {
		t.Fatalf("%d messages, %v", len(found), err)
	}
	for i, message := range v.Decoded.Messages {
		if want := unhex(t, message.Data.Hex); !bytes.Equal(found[i], want) {
			t.Fatalf("message %d is %x, not %x", i, found[i], want)
		}
	}
}
