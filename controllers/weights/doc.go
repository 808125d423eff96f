// Package weights sees to it that the weights of a model are where its pods look for them, and says why they are not.
//
// [Keeper.Ensure] is called whenever the model is reconciled. Downloaded weights have a claim (package resources builds it), a
// folder in it for each source that the model ever had, and a Job for each folder. The Job is the record: once it has
// succeeded the folder is complete, and a Job that was deleted is made again and finds that out by itself. When all
// pods run on the present folder the records of others go, and another Job removes what they stood for.
//
// How far a download is, its pod answers over HTTP (progress.go): that takes no right on the cluster, unlike its log. It is
// asked at an interval, and in between the last answer stands, so that status changes no more often than that.
package weights
