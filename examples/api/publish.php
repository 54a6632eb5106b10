<?php
// Publishes a message and waits until it is stored, in PHP without a library. It repeats the message
// while the server cannot take it: with the same id it counts once.
//
//   KEY=ph_… php examples/api/publish.php http://127.0.0.1:8080 orders:42 '{"state":"paid"}' payment-7

const ATTEMPTS = 6;
const TIMEOUT = 40; // seconds

/** Returns the server's answer: an array with the seq of the message. */
function publish(string $url, string $key, array $message): array
{
    $options = ['http' => [
        'method' => 'POST',
        'header' => "Authorization: Bearer $key\r\nContent-Type: application/json",
        'content' => json_encode($message, JSON_THROW_ON_ERROR),
        'timeout' => TIMEOUT,
        'ignore_errors' => true, // returns the body of an error, too
    ]];
    $failure = '';
    for ($attempt = 0; $attempt < ATTEMPTS; $attempt++) {
        if ($attempt > 0) {
            sleep(max(2 ** ($attempt - 1), $wait));
        }
        $wait = 1;
        $answer = @file_get_contents("$url/api/v1/publish", false, stream_context_create($options));
        if ($answer === false) {
            $failure = 'no answer';
            continue;
        }
        $head = implode("\n", $http_response_header);
        preg_match('/^HTTP\/\S+ (\d+)/', $head, $status);
        $body = json_decode($answer, true);
        if ($status[1] === '200') {
            return $body;
        }
        $failure = "$status[1]: $body[detail]";
        if (!in_array($status[1], ['408', '429', '503'], true)) {
            break;
        }
        if (preg_match('/^retry-after: *(\d+)/im', $head, $seconds)) {
            $wait = (int) $seconds[1];
        }
    }
    throw new RuntimeException($failure);
}

[, $url, $room, $data, $id] = $argv;
try {
    $message = ['room' => $room, 'data' => json_decode($data, false, 512, JSON_THROW_ON_ERROR), 'id' => $id];
    echo json_encode(publish($url, getenv('KEY'), $message)), "\n";
} catch (RuntimeException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
