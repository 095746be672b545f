<?php
// The page of the shop: `php -S 127.0.0.1:PORT index.php`. It asks the services by REST; SERVICES says where they are.
declare(strict_types=1);

/** What a service answers: the status, and its JSON. */
function ask(string $path): array
{
    $headers = [];
    foreach (['traceparent', 'tracestate'] as $name) { // so that the trace goes on
        $value = $_SERVER['HTTP_' . strtoupper($name)] ?? '';
        if ($value !== '') {
            $headers[] = "$name: $value";
        }
    }
    $options = ['http' => ['header' => $headers, 'ignore_errors' => true, 'timeout' => 10]];
    $answer = file_get_contents(getenv('SERVICES') . '/api' . $path, false, stream_context_create($options));
    if ($answer === false) {
        return [503, null];
    }
    return [(int) explode(' ', $http_response_header[0])[1], json_decode($answer, true)];
}

function escaped(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

function page(int $status, string $title, string $content): void
{
    http_response_code($status);
    header('content-type: text/html; charset=utf-8');
    echo "<!doctype html>\n<html lang=\"en\"><title>", escaped($title), "</title>\n<h1>", escaped($title), "</h1>\n", $content;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$home = $_SERVER['HTTP_X_FORWARDED_PREFIX'] ?? ''; // where the public reaches it

if ($path === '/health') {
    echo 'ready';
} elseif ($path === '' || $path === '/') {
    $title = $_POST['title'] ?? $_GET['title'] ?? '';
    [$status, $books] = ask('/books?title=' . rawurlencode($title));
    $items = '';
    foreach ($status === 200 ? $books : [] as $book) {
        $items .= '<li><a href="' . escaped("$home/books/" . rawurlencode($book['isbn'])) . '">' . escaped($book['title']) . "</a>\n";
    }
    $form = '<form method="post"><input name="title" value="' . escaped($title) . "\"><button>Search</button></form>\n";
    page($status, 'Books', "$form<ul>\n$items</ul>\n");
} elseif (preg_match('#^/books/([^/]+)$#', $path, $asked)) {
    [$status, $offer] = ask("/offers/$asked[1]");
    if ($status === 200) {
        $facts = sprintf('%.2f €, %.1f stars', $offer['cents'] / 100, $offer['stars']);
        page(200, $offer['book']['title'], "<p>$facts</p>\n<p><a href=\"" . escaped("$home/") . "\">All books</a></p>\n");
    } else {
        page($status, $status === 404 ? 'There is no such book' : 'Please try again', '');
    }
} else {
    page(404, 'There is no such page', '');
}
