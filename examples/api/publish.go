// Publishes a message and waits until it is stored, in Go without a library. It repeats the message
// while the server cannot take it: with the same id it counts once.
//
//	KEY=ph_… go run examples/api/publish.go http://127.0.0.1:8080 orders:42 '{"state":"paid"}' payment-7
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

const attempts = 6

var client = http.Client{Timeout: 40 * time.Second}

type message struct {
	Room string          `json:"room"`
	Data json.RawMessage `json:"data"`
	ID   string          `json:"id"`
}

// publish returns the server's answer: a JSON object with the seq of the message.
func publish(url, key string, m message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		answer, wait, err := post(url, key, body)
		if err == nil || wait == 0 || attempt == attempts-1 {
			return answer, err
		}
		if backoff := time.Second << attempt; wait < backoff {
			wait = backoff
		}
		time.Sleep(wait)
	}
}

// post returns with an error how long to wait before a retry: 0 if a retry would fail, too.
func post(url, key string, body []byte) ([]byte, time.Duration, error) {
	request, err := http.NewRequest("POST", url+"/api/v1/publish", bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, time.Second, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, time.Second, err
	}
	if response.StatusCode == http.StatusOK {
		return answer, 0, nil
	}
	var problem struct{ Detail string }
	_ = json.Unmarshal(answer, &problem)
	err = fmt.Errorf("%d: %s", response.StatusCode, problem.Detail)
	switch response.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return nil, time.Duration(seconds)*time.Second + time.Millisecond, err
	}
	return nil, 0, err
}

func main() {
	url, room, data, id := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	answer, err := publish(url, os.Getenv("KEY"), message{Room: room, Data: json.RawMessage(data), ID: id})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(answer))
}
