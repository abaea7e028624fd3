// The checker Porcupine on the histories of registers that benches/linear.rs makes. It reads a history a line, and answers
// each with a line: the verdict and the milliseconds that it took. benches/linear.rs starts it; the commands that build it are in
// docs/benchmarks.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type history struct {
	Limit      float64     `json:"limit"`
	Operations []operation `json:"operations"`
}

// An operation on a register: what was put, or what was seen. One without an end has no answer.
type operation struct {
	Key   int    `json:"key"`
	Put   *int   `json:"put"`
	Seen  *int   `json:"seen"`
	Start int64  `json:"start"`
	End   *int64 `json:"end"`
}

var register = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		places := map[int]int{}
		var parts [][]porcupine.Operation
		for _, one := range all {
			key := one.Input.(operation).Key
			place, known := places[key]
			if !known {
				place = len(parts)
				places[key] = place
				parts = append(parts, nil)
			}
			parts[place] = append(parts[place], one)
		}
		return parts
	},
	Init: func() interface{} { return 0 },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		asked := input.(operation)
		switch {
		case asked.Put != nil:
			return true, *asked.Put
		case asked.Seen == nil:
			return true, state
		default:
			return *asked.Seen == state.(int), state
		}
	},
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var read history
		if err := json.Unmarshal(lines.Bytes(), &read); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var operations []porcupine.Operation
		for _, one := range read.Operations {
			end := int64(math.MaxInt64)
			if one.End != nil {
				end = *one.End
			}
			operations = append(operations, porcupine.Operation{Input: one, Call: one.Start, Return: end})
		}
		limit := time.Duration(read.Limit * float64(time.Second))
		began := time.Now()
		verdict := porcupine.CheckOperationsTimeout(register, operations, limit)
		taken := time.Since(began)
		fmt.Printf("%s %f\n", verdict, float64(taken.Microseconds())/1000)
	}
}
