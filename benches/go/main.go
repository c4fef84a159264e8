// Measure Go's transparency logs, for benches/golang.py: a line of JSON with items and seconds.
//
//	peers tlog-append COUNT          x/mod/sumdb/tlog in memory, 256-byte records, then the root
//	peers tlog-prove SIZE COUNT      inclusion proofs, one after another
//	peers tlog-verify SIZE COUNT     the same proofs, checked
//	peers tessera-append DIR COUNT   Tessera's POSIX driver, 568-byte entries, until published
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	itemBytes   = 256
	recordBytes = 568
	batch       = 4096
	wait        = 100 * time.Millisecond
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("want a measurement and its numbers: see the head of main.go")
	}
	var items int
	var seconds float64
	switch last := number(len(os.Args) - 1); os.Args[1] {
	case "tlog-append":
		items, seconds = appendTlog(last)
	case "tlog-prove":
		items, seconds = proveTlog(number(2), last)
	case "tlog-verify":
		items, seconds = verifyTlog(number(2), last)
	case "tessera-append":
		items, seconds = appendTessera(os.Args[2], last)
	default:
		log.Fatalf("measurement is %q, want one from the head of main.go", os.Args[1])
	}
	result := map[string]any{"items": items, "seconds": seconds}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

// number reads one of the program's arguments.
func number(position int) int {
	value, err := strconv.Atoi(os.Args[position])
	if err != nil || value < 1 {
		log.Fatalf("argument %d is %q, want a number above 0", position, os.Args[position])
	}
	return value
}

// item is one of many that all differ.
func item(number, size int) []byte {
	data := make([]byte, size)
	binary.BigEndian.PutUint64(data[size-8:], uint64(number))
	return data
}

// memory is a log's hashes, in the order in which tlog stores them.
type memory []tlog.Hash

func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for at, index := range indexes {
		found[at] = m[index]
	}
	return found, nil
}

func grow(size, bytes int) memory {
	stored := make(memory, 0, tlog.StoredHashCount(int64(size)))
	for at := range size {
		hashes, err := tlog.StoredHashes(int64(at), item(at, bytes), stored)
		must(err)
		stored = append(stored, hashes...)
	}
	return stored
}

func root(stored memory, size int) tlog.Hash {
	hash, err := tlog.TreeHash(int64(size), stored)
	must(err)
	return hash
}

func appendTlog(count int) (int, float64) {
	begin := time.Now()
	root(grow(count, itemBytes), count)
	return count, time.Since(begin).Seconds()
}

// spread gives indices all over a tree, as benches/inclusion.py does.
func spread(size, count int) []int64 {
	indices := make([]int64, count)
	for at := range count {
		indices[at] = int64(at) * 2_654_435_761 % int64(size)
	}
	return indices
}

func proveAll(stored memory, size int, indices []int64) []tlog.RecordProof {
	proofs := make([]tlog.RecordProof, len(indices))
	for at, index := range indices {
		proof, err := tlog.ProveRecord(int64(size), index, stored)
		must(err)
		proofs[at] = proof
	}
	return proofs
}

func proveTlog(size, count int) (int, float64) {
	stored, indices := grow(size, 32), spread(size, count)
	begin := time.Now()
	proveAll(stored, size, indices)
	return count, time.Since(begin).Seconds()
}

func verifyTlog(size, count int) (int, float64) {
	stored, indices := grow(size, 32), spread(size, count)
	proofs, tree := proveAll(stored, size, indices), root(stored, size)
	leaves := make([]tlog.Hash, count)
	for at, index := range indices {
		leaves[at] = tlog.RecordHash(item(int(index), 32))
	}
	begin := time.Now()
	for at, index := range indices {
		must(tlog.CheckRecord(proofs[at], int64(size), tree, index, leaves[at]))
	}
	return count, time.Since(begin).Seconds()
}

// appendTessera adds entries and waits until a checkpoint that covers the last is published.
func appendTessera(directory string, count int) (int, float64) {
	ctx := context.Background()
	secret, _, err := note.GenerateKey(rand.Reader, "bench.example")
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	driver, err := posix.New(ctx, posix.Config{Path: directory})
	must(err)
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(batch, wait).
		WithCheckpointInterval(wait).
		WithPushback(uint(count))
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	must(err)
	published := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, wait/10)

	begin := time.Now()
	futures := make([]tessera.IndexFuture, count)
	for at := range count {
		futures[at] = appender.Add(ctx, tessera.NewEntry(item(at, recordBytes)))
	}
	for _, future := range futures {
		_, err := future()
		must(err)
	}
	_, _, err = published.Await(ctx, futures[count-1])
	must(err)
	seconds := time.Since(begin).Seconds()

	must(shutdown(ctx))
	return count, seconds
}

func must(err error) {
	if err != nil {
		log.Fatal(fmt.Errorf("measuring: %w", err))
	}
}
