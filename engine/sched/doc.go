// Package sched decides which sequences run in the next forward pass and which
// pages of the key-value cache they own.
//
// A [Scheduler] makes pure decisions: it has no clock, no goroutine and touches no
// memory but its own, so equal calls give equal answers. It belongs to one
// goroutine, the step loop:
//
//	for {
//		step := s.Next(now(), promptTokens)
//		if len(step.Rows) == 0 {
//			// Until a request arrives, or for step.Wait if that is not zero.
//			wait(step.Wait)
//			continue
//		}
//		err := save(step.Saves) // all of them before the first load
//		if err == nil {
//			err = load(step.Loads)
//		}
//		if err == nil {
//			err = forward(step.Rows)
//		}
//		if err != nil {
//			s.Abort() // the step did not happen
//			for _, row := range step.Rows {
//				s.Remove(row.ID)
//			}
//			continue
//		}
//		for i := range step.Rows {
//			if row := &step.Rows[i]; row.Sample {
//				row.Token = sample(row)
//				if isStop(row.Token) {
//					s.Remove(row.ID)
//				}
//			}
//		}
//		s.Done()
//	}
//
// [Scheduler.Add] and [Scheduler.Remove] may be called at any point of it. A
// cancelled sequence that is part of the running step gives its pages back with
// Done or Abort, any other at once.
//
// # Memory
//
// There are two pools of pages of PageTokens positions: full pages for the layers
// that see everything, window pages for those with a sliding window. A sequence
// keeps all its full pages, and the window pages that its next token still sees.
//
// Admission never overcommits. A sequence starts when there are full pages for all
// its known tokens and a little growth, beside what the running sequences still
// need for theirs; and when the window pages that every running sequence needs to
// decode are there for it too. So only growing answers can use up the full pages,
// and nothing can use up the window pages. When a sequence finds no full page, the
// youngest of those younger than it is preempted: its pages are spilled to the swap
// space, or dropped and computed again later if that is full. Where nobody younger
// is left the sequence waits. The oldest is never preempted and always finds its
// pages, so everybody finishes.
//
// # Unfinished rows
//
// The engine may compute rows of prompts over several steps, some layers in each, so
// that a step in which others decode does not take long. It marks them Unfinished
// before Done; they keep their pages, are in no step and cannot be preempted until
// Rejoin puts them into the step that finishes them, or Abandon gives them up.
//
// # Prefix cache
//
// Full blocks of PageTokens tokens are known by a chain of SHA-256 digests that
// begins with the tenant, so no tenant can hit, or time, another's prompts. Pages
// that nobody uses keep their content until they are needed, least recently used
// first. A prefix of k blocks is usable when its k full pages are there and the
// window pages before its end too. Those are scarcer, so window pages in front of
// the end of a prompt, of a boundary that another request asked for, and of the
// end of an answer outlive the others. Sequences with the same prompt that arrive
// together compute it once: one runs ahead, the others take over its pages.
//
// # Fairness
//
// A free place goes to the tenant with the fewest admitted sequences. Prompt
// tokens of a step go to the tenant that was served the fewest tokens so far.
// Within a tenant the order is that of arrival. A request that does not fit yet is
// waited for, not overtaken.
package sched
