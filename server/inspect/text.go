package inspect

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// text renders the report for people; all says to list every tensor.
func (r *report) text(all bool) string {
	var b strings.Builder
	r.writeHead(&b)
	r.writeConfig(&b)
	r.writeTypes(&b)
	if all {
		r.writeTensors(&b)
	} else {
		r.writeLayers(&b)
	}
	r.writeMemory(&b)
	return b.String()
}

func (r *report) writeHead(b *strings.Builder) {
	t := table{}
	t.add("Model", r.Model)
	if r.Layout != "" {
		var total int64
		for _, f := range r.Files {
			total += f.Bytes
		}
		t.add("Layout", fmt.Sprintf("%s, %s, %s", r.Layout, plural(int64(len(r.Files)), "file"), size(total)))
	}
	if r.Digest != "" {
		t.add("Digest", r.Digest)
	}
	t.add("Parameters", fmt.Sprintf("%s in all, %s active per token", thousands(r.Parameters.Total), thousands(r.Parameters.Active)))
	if r.Problem != "" {
		t.add("Problem", r.Problem)
	}
	t.write(b, "")
}

func (r *report) writeConfig(b *strings.Builder) {
	c := r.Config
	b.WriteString("\nConfiguration\n")
	t := table{}
	t.add("layers", fmt.Sprintf("%d, %d of them with a window of %s tokens", c.Layers, c.WindowLayers, thousands(int64(c.SlidingWindow))))
	t.add("experts", fmt.Sprintf("%d a layer, %d active", c.Experts, c.ActiveExperts))
	t.add("attention", fmt.Sprintf("%s of %d, %s", plural(int64(c.Heads), "head"), c.HeadDim, plural(int64(c.KVHeads), "key/value head")))
	t.add("width", fmt.Sprintf("%d, %d inside an expert", c.HiddenSize, c.Intermediate))
	t.add("vocabulary", thousands(int64(c.VocabSize)))
	t.add("context", fmt.Sprintf("%s tokens, %s before YaRN ×%g, base %.8g",
		thousands(int64(c.MaxContext)), thousands(int64(c.OriginalContext)), c.YaRNFactor, c.RopeTheta))
	if len(c.EndTokens) > 0 {
		t.add("end tokens", strings.Trim(strings.ReplaceAll(fmt.Sprint(c.EndTokens), " ", ", "), "[]"))
	}
	t.write(b, "  ")
}

func (r *report) writeTypes(b *strings.Builder) {
	b.WriteString("\nBytes by type\n")
	t := table{right: []int{1, 2}}
	var total share
	for _, s := range r.Types {
		t.add(s.Type, plural(int64(s.Tensors), "tensor"), size(s.Bytes))
		total.Tensors += s.Tensors
		total.Bytes += s.Bytes
	}
	t.add("all", plural(int64(total.Tensors), "tensor"), size(total.Bytes))
	t.write(b, "  ")
}

func (r *report) writeLayers(b *strings.Builder) {
	b.WriteString("\nTensors\n")
	t := table{right: []int{3}}
	for _, x := range r.Shared {
		t.add(x.Name, x.Type, shape(x.Shape), size(x.Bytes))
	}
	for _, run := range r.Layers {
		title := fmt.Sprintf("layer %d", run.First)
		if run.Last > run.First {
			title = fmt.Sprintf("layers %d to %d, each", run.First, run.Last)
		}
		t.add(title, "", "", size(run.Bytes))
		for _, x := range run.Tensors {
			t.add("  "+x.Name, x.Type, shape(x.Shape), size(x.Bytes))
		}
	}
	t.write(b, "  ")
}

func (r *report) writeTensors(b *strings.Builder) {
	b.WriteString("\nTensors\n")
	t := table{right: []int{3}}
	for _, x := range r.Tensors {
		row := []string{x.Name, x.Type, shape(x.Shape), size(x.Bytes)}
		if len(r.Files) > 1 {
			row = append(row, x.File)
		}
		t.add(row...)
	}
	t.write(b, "  ")
}

func (r *report) writeMemory(b *strings.Builder) {
	m := r.Memory
	fmt.Fprintf(b, "\nMemory for %s of %s\n", plural(int64(m.Sequences), "sequence"), plural(int64(m.ContextLength), "token"))
	t := table{right: []int{1}}
	note := ""
	if m.Copied > 0 {
		note = "packed into memory when it is opened; gptoss-server pack makes a file that is mapped instead"
	}
	t.add("weights", size(m.Weights), note)
	t.add("keys and values", size(m.KVCache))
	t.add("working", size(m.Working))
	t.add("all", size(m.Total))
	t.write(b, "  ")
}

// table aligns columns by their widest cell.
type table struct {
	rows  [][]string
	right []int // columns that are aligned to the right
}

// add appends a row. Names come from files, which may hold anything: what is not printable is escaped.
func (t *table) add(cells ...string) {
	for i, cell := range cells {
		if strings.ContainsFunc(cell, func(r rune) bool { return !unicode.IsPrint(r) }) {
			cells[i] = strings.Trim(strconv.QuoteToGraphic(cell), `"`)
		}
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(b *strings.Builder, indent string) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if cells[i] = cell + pad; slices.Contains(t.right, i) {
				cells[i] = pad + cell
			}
		}
		b.WriteString(strings.TrimRight(indent+strings.Join(cells, "  "), " "))
		b.WriteByte('\n')
	}
}

func shape(dims []int64) string {
	texts := make([]string, len(dims))
	for i, n := range dims {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(texts, " × ")
}

// size writes bytes with a binary unit. The largest int64 means that a sum overflowed.
func size(n int64) string {
	if n == math.MaxInt64 {
		return "more than 8 EiB"
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	if n < 1024 {
		return fmt.Sprintf("%d B  ", n) // two spaces put the unit under the others
	}
	v, unit := float64(n)/1024, 0
	for ; v >= 1023.995 && unit < len(units)-1; unit++ {
		v /= 1024
	}
	return fmt.Sprintf("%.2f %s", v, units[unit])
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}
