package options

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Exit statuses of the command cache. The operator tells from them what went wrong and whether another try may help; the
// sentence about it is in the termination log.
const (
	CacheDone     = 0
	CacheFailed   = 1 // such as a server that cannot be reached: another try may help
	CacheUsage    = 2 // wrong flags
	CacheRefused  = 3 // the source wants a token, or another one
	CacheNotFound = 4 // no such repository, revision or file
	CacheMismatch = 5 // what came is not what was announced
	CacheFull     = 6 // no room in the volume
	CacheUnusable = 7 // what came is no model
)

// CacheTokenVariable is the environment variable with the token for the source.
const CacheTokenVariable = "MODEL_TOKEN"

// CacheProgressPath is where the command cache answers how far it is, as a CacheProgress in JSON.
const CacheProgressPath = "/progress"

// CacheFiles is the folder, in that of the model, of a download that is not packed.
const CacheFiles = "files"

// Phases of the command cache.
const (
	CacheDownloading = "Downloading"
	CachePacking     = "Packing"
)

// CacheProgress is how far the command cache is.
type CacheProgress struct {
	Phase string `json:"phase"`
	// Bytes and TotalBytes are of the phase; the total is 0 while nobody knows.
	Bytes      int64 `json:"bytes"`
	TotalBytes int64 `json:"total_bytes"`
	// SecondsLeft is null while nobody knows.
	SecondsLeft *int64 `json:"seconds_left"`
	// Trouble is why something is tried again at the moment.
	Trouble string `json:"trouble,omitempty"`
}

// Cache is the configuration of the command cache, which makes a folder of a volume hold a model, ready for pods to map.
type Cache struct {
	// Source is a repository or the URL of a file; empty means that the volume is only cleaned.
	Source string
	// Revision and Endpoint go with a repository, SHA256 with a URL.
	Revision, Endpoint, SHA256 string
	// Root is the volume's root, Folder the folder of the model in it.
	Root, Folder string
	// File is the packed file to make in the folder; empty leaves the files as they came.
	File string
	// Keep are the other folders that stay: the command removes folders of other models.
	Keep []string
	// ProgressAddress is where to answer how far it is; empty means nowhere.
	ProgressAddress string
	// TerminationLog is a file that gets the one sentence why it failed; empty means none.
	TerminationLog string
}

// CacheFolder is what the names of folders of models match. No other folder of a volume is touched.
var CacheFolder = regexp.MustCompile(`^model-[0-9a-f]{10}$`)

// set returns the flags.
func (c *Cache) set() *flag.FlagSet {
	set := flag.NewFlagSet("gptoss-server cache", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	for name, to := range map[string]*string{
		"source": &c.Source, "revision": &c.Revision, "endpoint": &c.Endpoint, "sha256": &c.SHA256, "root": &c.Root, "folder": &c.Folder,
		"file": &c.File, "progress-address": &c.ProgressAddress, "termination-log": &c.TerminationLog,
	} {
		set.StringVar(to, name, *to, "")
	}
	set.Func("keep", "", func(folder string) error {
		c.Keep = append(c.Keep, folder)
		return nil
	})
	return set
}

// ParseCache reads the arguments that follow the word cache. It returns flag.ErrHelp for --help.
func ParseCache(args []string) (Cache, error) {
	var c Cache
	set := c.set()
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return Cache{}, flag.ErrHelp
	} else if err != nil {
		return Cache{}, fmt.Errorf("%w; --help lists the flags", err)
	}
	if set.NArg() > 0 {
		return Cache{}, fmt.Errorf("unexpected argument %q: every setting is a flag; --help lists them", set.Arg(0))
	}
	if err := c.Validate(); err != nil {
		return Cache{}, err
	}
	return c, nil
}

// Validate reports the first setting that is wrong. Those of the source are checked by who reads from it.
func (c Cache) Validate() error {
	switch {
	case c.Root == "":
		return errors.New("--root must be a folder")
	case c.Source == "" && (c.Folder != "" || c.File != "" || len(c.Keep) == 0):
		return errors.New("--source must be given, or nothing but what to --keep")
	case c.Source != "" && !CacheFolder.MatchString(c.Folder):
		return fmt.Errorf("--folder %q: must be model- and ten hex digits", c.Folder)
	case strings.ContainsAny(c.File, `/\`) || strings.HasPrefix(c.File, "."):
		return fmt.Errorf("--file %q: must be a name without folders", c.File)
	}
	if i := slices.IndexFunc(c.Keep, func(k string) bool { return !CacheFolder.MatchString(k) }); i >= 0 {
		return fmt.Errorf("--keep %q: must be model- and ten hex digits", c.Keep[i])
	}
	return nil
}

// Args renders the settings as arguments for ParseCache, in a fixed order.
func (c Cache) Args() []string {
	var args []string
	c.set().VisitAll(func(f *flag.Flag) { // by name
		if f.Name == "keep" {
			for _, folder := range c.Keep {
				args = append(args, "--keep="+folder)
			}
		} else if text := f.Value.String(); text != "" {
			args = append(args, "--"+f.Name+"="+text)
		}
	})
	return args
}
